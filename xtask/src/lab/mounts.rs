//! Reads the mount table of this process.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Where the first file system of type `kind` (such as `cgroup2`) is mounted.
pub(super) fn mounted(kind: &str) -> Result<Option<PathBuf>> {
    Ok(find(&read()?, kind).next())
}

/// Where file systems of type `kind` are mounted.
pub(super) fn all_mounted(kind: &str) -> Result<Vec<PathBuf>> {
    Ok(find(&read()?, kind).collect())
}

fn read() -> Result<String> {
    const TABLE: &str = "/proc/self/mountinfo";
    std::fs::read_to_string(TABLE).with_context(|| format!("reading {TABLE}"))
}

/// The mount points of the entries of `table` whose type is `kind` and whose root is the whole file system.
fn find(table: &str, kind: &str) -> impl Iterator<Item = PathBuf> {
    table.lines().filter_map(move |line| {
        // Optional fields stand between the two halves, so that only the dash tells where the type is.
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let matches = filesystem.split(' ').next() == Some(kind) && root == "/";
        matches.then(|| PathBuf::from(unescape(point)))
    })
}

/// Undoes the octal escapes that the kernel writes for space, tab, newline and backslash.
fn unescape(field: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
39 31 0:36 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 master:2 - cgroup2 cgroup2 rw
";

    fn found(table: &str, kind: &str) -> Vec<PathBuf> {
        find(table, kind).collect()
    }

    #[test]
    fn the_unified_hierarchy_of_a_hybrid_host_is_found() {
        assert_eq!(found(HYBRID, "cgroup2"), [PathBuf::from("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn each_hierarchy_of_version_1_is_found() {
        let expected = ["/sys/fs/cgroup/blkio", "/sys/fs/cgroup/memory"];

        assert_eq!(found(HYBRID, "cgroup"), expected.map(PathBuf::from));
    }

    #[test]
    fn a_type_that_is_not_mounted_is_not_found() {
        assert_eq!(found(HYBRID, "bpf"), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_bind_mount_of_a_part_is_not_the_root() {
        let part = "50 31 0:38 /system.slice /mnt rw - cgroup2 cgroup2 rw\n";

        assert_eq!(found(part, "cgroup2"), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_space_in_the_mount_point_is_read_back() {
        let spaced = "50 31 0:38 / /mnt/two\\040words rw - cgroup2 cgroup2 rw\n";

        assert_eq!(found(spaced, "cgroup2"), [PathBuf::from("/mnt/two words")]);
    }
}
