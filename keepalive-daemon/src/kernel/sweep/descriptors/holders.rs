//! Who holds a socket: /proc has a link for each descriptor of each process.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::RawFd,
};

use anyhow::Result;

use super::process::{is_denied, processes, sockets};

/// A process and a descriptor for each socket that was looked for and found.
#[derive(Debug, Default)]
pub(in crate::kernel) struct Holders {
    by_inode: BTreeMap<u32, (u32, RawFd)>,
    /// How many processes this one may not look into.
    pub(in crate::kernel) denied: usize,
}

impl Holders {
    /// Looks through all processes once, for as long as a socket is missing.
    ///
    /// # Errors
    /// If /proc cannot be listed.
    pub(super) fn find(inodes: &BTreeSet<u32>) -> Result<Self> {
        let mut holders = Self::default();
        for pid in processes()? {
            if holders.by_inode.len() == inodes.len() {
                break;
            }
            holders.look_into(pid, |inode| inodes.contains(&inode));
        }
        Ok(holders)
    }

    /// Those of all sockets.
    ///
    /// # Errors
    /// If /proc cannot be listed.
    pub(in crate::kernel) fn all() -> Result<Self> {
        let mut holders = Self::default();
        for pid in processes()? {
            holders.look_into(pid, |_| true);
        }
        Ok(holders)
    }

    fn look_into(&mut self, pid: u32, is_wanted: impl Fn(u32) -> bool) {
        match sockets(pid) {
            Ok(held) => {
                for (descriptor, inode) in held.into_iter().filter(|(_, inode)| is_wanted(*inode)) {
                    self.by_inode.entry(inode).or_insert((pid, descriptor));
                }
            }
            Err(error) if is_denied(&error) => self.denied += 1,
            // It has ended, and its sockets with it.
            Err(_) => {}
        }
    }

    pub(in crate::kernel) fn of(&self, inode: u32) -> Option<(u32, RawFd)> {
        self.by_inode.get(&inode).copied()
    }
}
