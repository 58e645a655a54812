//! Where the cgroup2 hierarchy is mounted, and where in it this process is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// The root of the cgroup2 hierarchy: `given`, or what the mount table shows. On hybrid hosts that is beside
/// the version 1 hierarchies: `given` may also be the directory of them all, wherever that is mounted.
///
/// # Errors
/// If `given` is not a directory of cgroup2, nor one with it mounted below, or none is mounted.
pub(crate) fn cgroup2_root(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        let kind = statfs(given)
            .with_context(|| format!("cannot read the cgroup root {}", given.display()))?
            .filesystem_type();
        if kind != CGROUP2_SUPER_MAGIC {
            return mounted_below(given)?.with_context(|| {
                format!(
                    "{} is not in a cgroup2 hierarchy, and none is mounted below it: eBPF programs attach to no \
                     other; leave out --cgroup-root to use the one that is mounted",
                    given.display()
                )
            });
        }
        if !given.is_dir() {
            bail!("the cgroup root {} is not a directory", given.display());
        }
        return Ok(given.to_owned());
    }
    mounted()?.map(|mount| mount.mount_point).context(
        "no cgroup2 hierarchy is mounted (cgroup version 1 only), and eBPF programs attach to no other; mount \
         it beside the others with `mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none \
         /sys/fs/cgroup/unified`, or boot with systemd.unified_cgroup_hierarchy=1",
    )
}

/// The directory of the cgroup this process is in.
///
/// # Errors
/// If no cgroup2 hierarchy is mounted, or the mount does not reach the cgroup.
pub(crate) fn own_cgroup() -> Result<PathBuf> {
    let mount =
        mounted()?.context("no cgroup2 hierarchy is mounted, and eBPF programs attach to no other")?;
    let membership = fs::read_to_string("/proc/self/cgroup").context("cannot read /proc/self/cgroup")?;
    let path = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .context("/proc/self/cgroup shows no cgroup2 membership")?;
    let below = Path::new(path).strip_prefix(&mount.root).with_context(|| {
        format!(
            "this process is in cgroup {path}, outside of what is mounted at {}",
            mount.mount_point.display()
        )
    })?;
    Ok(mount.mount_point.join(below))
}

pub(crate) struct Mount {
    /// The part of the hierarchy that is mounted.
    pub(crate) root: PathBuf,
    pub(crate) mount_point: PathBuf,
}

fn mounted() -> Result<Option<Mount>> {
    Ok(find_cgroup2(&mount_table()?, is_cgroup2))
}

/// The cgroup2 hierarchy that is mounted below a directory.
fn mounted_below(directory: &Path) -> Result<Option<PathBuf>> {
    // The table has no symbolic links.
    let directory = fs::canonicalize(directory)
        .with_context(|| format!("cannot read the cgroup root {}", directory.display()))?;
    let is_below = |path: &Path| path.starts_with(&directory) && is_cgroup2(path);
    Ok(find_cgroup2(&mount_table()?, is_below).map(|mount| mount.mount_point))
}

fn mount_table() -> Result<Vec<u8>> {
    fs::read("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")
}

/// Whether a directory is in a cgroup2 hierarchy.
fn is_cgroup2(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// Finds the cgroup2 mount that shows most of the hierarchy, the first of several (proc_pid_mountinfo(5)).
/// The table also lists a mount that another one hides: that one is not `visible` as what it is.
pub(crate) fn find_cgroup2(table: &[u8], visible: impl Fn(&Path) -> bool) -> Option<Mount> {
    // Somebody may have mounted something else on a directory whose name is no text.
    let table = String::from_utf8_lossy(table);
    let mounts = table.lines().filter_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        (kind.split(' ').next() == Some("cgroup2")).then_some(())?;
        let mut fields = fields.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        Some(Mount { root: unescape(root), mount_point: unescape(mount_point) })
    });
    let mounts = mounts.filter(|mount| visible(&mount.mount_point));
    mounts.min_by_key(|mount| mount.root.components().count())
}

/// Undoes the table's octal escapes of space, tab, newline and backslash.
fn unescape(field: &str) -> PathBuf {
    let mut path = field.to_owned();
    for (escape, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        path = path.replace(escape, character);
    }
    path.into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn mount_point(table: &str) -> Option<PathBuf> {
        find_cgroup2(table.as_bytes(), |_| true).map(|mount| mount.mount_point)
    }

    #[test]
    fn a_hybrid_host_has_it_beside_the_others() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                     32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(table), Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn of_a_hybrid_host_that_is_mounted_elsewhere_the_part_below_is_found() {
        let table = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                     61 60 0:28 / /host/cgroup ro - tmpfs tmpfs ro\n\
                     62 61 0:29 / /host/cgroup/cpu ro - cgroup cgroup ro,cpu\n\
                     63 61 0:38 / /host/cgroup/unified ro - cgroup2 cgroup2 ro\n";
        let found = find_cgroup2(table.as_bytes(), |path| path.starts_with("/host/cgroup"));
        assert_eq!(found.map(|mount| mount.mount_point), Some("/host/cgroup/unified".into()));
    }

    #[test]
    fn a_directory_without_cgroup2_in_or_below_it_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let refused = cgroup2_root(Some(directory.path())).unwrap_err().to_string();
        assert!(
            refused.contains(directory.path().to_str().unwrap()) && refused.contains("--cgroup-root"),
            "{refused}"
        );
    }

    #[test]
    fn version_1_alone_has_none() {
        assert_eq!(mount_point("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"), None);
    }

    #[test]
    fn a_mount_that_another_hides_is_passed_over() {
        let table = "40 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                     41 31 0:38 /part /mnt/part rw - cgroup2 cgroup2 rw\n";
        let found = find_cgroup2(table.as_bytes(), |path| path != Path::new("/sys/fs/cgroup"));
        assert_eq!(found.map(|mount| mount.mount_point), Some("/mnt/part".into()));
    }

    #[test]
    fn names_that_are_no_text_hide_nothing() {
        let table = b"40 31 0:38 / /home/\xff rw - fuse sshfs rw\n41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = find_cgroup2(table, |_| true);
        assert_eq!(found.map(|mount| mount.mount_point), Some("/sys/fs/cgroup".into()));
    }

    #[test]
    fn the_mount_of_the_whole_hierarchy_comes_before_that_of_a_part() {
        let table = "40 31 0:38 /docker/c1 /mnt/part rw - cgroup2 cgroup2 rw\n\
                     41 31 0:38 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(table), Some("/mnt/a b".into()));
    }
}
