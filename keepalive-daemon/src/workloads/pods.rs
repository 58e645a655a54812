//! The pods of this node and where they are in the cgroup tree; pure.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use crate::policy::PodFacts;

mod cgroup;
mod guest;
mod info;
mod name;
mod place;
mod slice;

#[cfg(any(test, fuzzing))]
pub(crate) use cgroup::{from_container, from_parent};
pub(crate) use info::read;
pub(crate) use name::is_like_pod;
pub(crate) use place::place;

/// A pod, as its runtime tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    /// What policies look at.
    pub(crate) facts: PodFacts,
    /// The id of its sandbox: another one each time the sandbox is made anew.
    pub(crate) sandbox: String,
    /// The network namespace it has of its own; `None` if it uses the node's.
    pub(crate) network: Option<PathBuf>,
    /// Where its sockets belong.
    pub(crate) place: Place,
}

/// Where the sockets of a pod belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To this cgroup and those below it: a path from the root of the hierarchy, without a leading slash.
    Cgroup(String),
    /// To none that a program can be attached to; says why.
    Unreachable(String),
    /// The runtime has not told, and may yet; says what it answered.
    Untold(String),
}

impl Place {
    /// The cgroup, if the runtime told of one.
    pub(crate) fn cgroup(&self) -> Option<&str> {
        match self {
            Self::Cgroup(path) => Some(path),
            Self::Unreachable(_) | Self::Untold(_) => None,
        }
    }
}

/// A pod that no policy can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable {
    pub(crate) pod: Arc<Pod>,
    /// Why, and what to do about it.
    pub(crate) reason: String,
    /// Whether it may be a matter of moments: the pod begins or ends.
    pub(crate) passing: bool,
}

/// The pods in the cgroup tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// By the path of their cgroup, as the tree has it.
    pub(crate) by_path: BTreeMap<String, Arc<Pod>>,
    pub(crate) unreachable: Vec<Unreachable>,
}
