//! What runs here: the cgroups of the host, and the pods that the container runtime has in them.

mod mounts;
mod nameless;
mod node;
mod pods;
mod runtime;
mod transient;
mod tree;

pub(crate) use mounts::{cgroup2_root, own_cgroup};
pub(crate) use nameless::{is_nameless, readable};
pub(crate) use node::{Change, Node};
#[cfg(test)]
pub(crate) use pods::Place;
use pods::place;
pub(crate) use pods::{Placed, Pod, Unreachable, is_like_pod};
use runtime::Runtime;
pub(crate) use runtime::{CriSocket, RuntimeState};
pub(crate) use transient::{TRANSIENT_PREFIX, Transient, is_transient, remove_emptied};
use tree::CgroupTree;
pub(crate) use tree::Paths;
