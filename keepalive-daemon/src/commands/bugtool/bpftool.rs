//! What bpftool shows, and what is pinned.

use std::{fmt::Write as _, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result};
use keepalive_ebpf::{ABI_VERSION, COUNTERS_MAP, POLICY_MAP};
use walkdir::WalkDir;

use super::{Part, Source, program};
use crate::workloads::cgroup2_root;

pub(super) const PARTS: &[Part] = &[
    Part { file: "pins.txt", about: "what is pinned: kind and mode, path, target", collect: pins },
    Part {
        file: "bpftool/version.txt",
        about: "the version of bpftool",
        collect: |_| program::output("bpftool", &["version"]),
    },
    Part {
        file: "bpftool/cgroups.txt",
        about: "the programs attached to each cgroup, also those of others",
        collect: |source| {
            let root = cgroup2_root(source.cgroup_root.as_deref())?;
            program::list("bpftool", &["cgroup", "tree", &root.to_string_lossy()])
        },
    },
    Part {
        file: "bpftool/programs.txt",
        about: "all loaded programs",
        collect: |_| program::list("bpftool", &["-f", "prog", "show"]),
    },
    Part {
        file: "bpftool/links.txt",
        about: "all links, and where they are pinned",
        collect: |_| program::list("bpftool", &["-f", "link", "show"]),
    },
    Part {
        file: "bpftool/maps.txt",
        about: "all maps",
        collect: |_| program::list("bpftool", &["-f", "map", "show"]),
    },
    Part {
        file: "bpftool/POLICY.txt",
        about: "the policies as they lie in the kernel",
        collect: |source| dump(source, POLICY_MAP),
    },
    Part {
        file: "bpftool/COUNTERS.txt",
        about: "the counters as they lie in the kernel, one copy a CPU",
        collect: |source| dump(source, COUNTERS_MAP),
    },
];

fn dump(source: &Source, map: &str) -> Result<Vec<u8>> {
    let pin = source.bpffs.join(format!("keepalive/abi{ABI_VERSION}/maps/{map}"));
    program::output("bpftool", &["map", "dump", "pinned", &pin.to_string_lossy()])
}

fn pins(source: &Source) -> Result<Vec<u8>> {
    list(&source.bpffs.join("keepalive"))
}

/// A directory and all in it, as `ls -l` would show the most of it.
fn list(top: &Path) -> Result<Vec<u8>> {
    let mut text = String::new();
    for entry in WalkDir::new(top).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot list {}", top.display()))?;
        let metadata =
            entry.metadata().with_context(|| format!("cannot look at {}", entry.path().display()))?;
        let kind = match entry.file_type() {
            kind if kind.is_dir() => 'd',
            kind if kind.is_symlink() => 'l',
            _ => '-',
        };
        let _ = write!(text, "{kind}{:04o}  {}", metadata.mode() & 0o7777, entry.path().display());
        if let Ok(target) = std::fs::read_link(entry.path()) {
            let _ = write!(text, " -> {}", target.display());
        }
        text.push('\n');
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_listed_with_what_they_say() {
        let directory = tempfile::tempdir().unwrap();
        symlink("host-services", directory.path().join("policy")).unwrap();

        let listed = String::from_utf8(list(directory.path()).unwrap()).unwrap();

        assert!(listed.ends_with("/policy -> host-services\n") && listed.starts_with('d'), "{listed}");
        assert!(list(&directory.path().join("none")).is_err());
    }
}
