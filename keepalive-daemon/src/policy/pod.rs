//! What a policy looks at in a pod.

use std::{collections::BTreeMap, fmt};

/// A pod, as its runtime knows it; displayed as `namespace/name`.
///
/// Labels and annotations are those the pod had when its sandbox was made: the kubelet does not pass later
/// changes on to the runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in its namespace at any one time.
    pub name: String,
    /// Its uid, that no other pod ever has.
    pub uid: String,
    /// Its labels, including those the kubelet adds.
    pub labels: BTreeMap<String, String>,
    /// Those of its annotations that are for this project; others mean nothing here.
    pub annotations: BTreeMap<String, String>,
}

impl fmt::Display for PodFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
