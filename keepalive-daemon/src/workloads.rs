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
#[cfg(any(test, fuzzing))]
pub(crate) use pods::Place;
use pods::place;
pub(crate) use pods::{Placed, Pod, Unreachable, is_like_pod};
use runtime::Runtime;
pub(crate) use runtime::{CriSocket, RuntimeState, ask as ask_runtime};
pub(crate) use transient::{TRANSIENT_PREFIX, Transient, is_transient, remove_emptied};
use tree::CgroupTree;
pub(crate) use tree::{Changes, Paths};

/// The readers of what the runtime and the mount table say, for fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) mod readers {
    pub(crate) use super::{
        mounts::find_cgroup2,
        pods::{from_container, from_parent, place, read},
        runtime::Sandboxes,
    };
}
