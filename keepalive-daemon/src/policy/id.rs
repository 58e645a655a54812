//! What policies are called.

use std::fmt;

/// The kinds of policies, the more specific one first: where policies of one priority select the same
/// workload, it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `KeepalivePolicy`: pods of its own namespace.
    Namespaced,
    /// `ClusterKeepalivePolicy` for pods, of any namespace.
    ClusterPods,
    /// `ClusterKeepalivePolicy` for cgroups, whatever runs in them.
    ClusterCgroups,
}

impl Kind {
    /// The `kind` of the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaced => "KeepalivePolicy",
            Self::ClusterPods | Self::ClusterCgroups => "ClusterKeepalivePolicy",
        }
    }
}

/// The name of a policy, with its namespace if it is of one; displayed as `namespace/name`, or `name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// `metadata.namespace` of a `KeepalivePolicy`.
    pub namespace: Option<String>,
    /// `metadata.name`, a DNS subdomain.
    pub name: String,
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
