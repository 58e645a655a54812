//! What runs here: the cgroups of the host.

mod mounts;
mod transient;
mod tree;

pub(crate) use mounts::{cgroup2_root, own_cgroup};
pub(crate) use transient::{TRANSIENT_PREFIX, Transient, is_transient, remove_emptied};
pub(crate) use tree::{CgroupTree, Paths};
