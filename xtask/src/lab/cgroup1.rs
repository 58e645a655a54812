//! The groups that a container runtime makes in the hierarchies of version 1, on hosts that have those beside cgroup2.

use std::path::PathBuf;

use anyhow::Result;

use super::{Cgroup, cgroup::remove_directories, mounts, report_leftover};

/// Where the hierarchies of version 1 are mounted; none on most hosts.
///
/// # Errors
/// When the mount table cannot be read.
pub(crate) fn cgroup1_roots() -> Result<Vec<PathBuf>> {
    mounts::all_mounted("cgroup")
}

/// The groups of a [`Cgroup`]'s path in every hierarchy of version 1, and all below; removed when dropped.
///
/// It kills nobody: their processes are those of the [`Cgroup`], which has to go first.
#[derive(Debug)]
pub struct Cgroup1 {
    paths: Vec<PathBuf>,
}

impl Cgroup1 {
    /// Those that there will be.
    ///
    /// # Errors
    /// When the mount table cannot be read.
    pub fn of(cgroup: &Cgroup) -> Result<Self> {
        let paths = cgroup1_roots()?.iter().map(|root| root.join(cgroup.relative())).collect();
        Ok(Self { paths })
    }
}

impl Drop for Cgroup1 {
    fn drop(&mut self) {
        for path in &self.paths {
            if let Err(error) = remove_directories(path) {
                report_leftover(&format!("the cgroup {}", path.display()), &error);
            }
        }
    }
}
