//! Where runtimes have their sockets.

use std::path::{Path, PathBuf};

/// The sockets on which runtimes are known to serve the CRI, in the order in which they are tried. First those of
/// which there is one only where a kubelet uses it: where containerd was installed for anything else, Docker say, it
/// too would answer, with no pods. cri-dockerd comes last, because it does not tell the cgroups of its pods.
const KNOWN: [&str; 6] = [
    // k3s and RKE2
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    // MicroK8s
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/crio/crio.sock",
    "/run/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
];

/// Where to look for the runtime.
#[derive(Debug)]
pub(super) struct Sockets {
    paths: Vec<PathBuf>,
    is_given: bool,
}

impl Sockets {
    /// This one.
    pub(super) fn only(path: PathBuf) -> Self {
        Self { paths: vec![path], is_given: true }
    }

    /// The known ones.
    pub(super) fn known() -> Self {
        Self::any_of(KNOWN.map(PathBuf::from).to_vec())
    }

    pub(super) const fn any_of(paths: Vec<PathBuf>) -> Self {
        Self { paths, is_given: false }
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Whether somebody said that there is a runtime.
    pub(super) const fn is_given(&self) -> bool {
        self.is_given
    }

    /// The runtime on this one has pods: from here on there is no other, though it may be away for some time. Another
    /// that answers meanwhile would be asked for pods that it does not have.
    pub(super) fn settle(&mut self, path: &Path) {
        *self = Self::only(path.to_owned());
    }

    /// Where else pods may be, as long as the runtime on this one has none: a containerd of Docker's is often there
    /// before the runtime of the kubelet.
    pub(super) fn others(&self, path: &Path) -> Vec<PathBuf> {
        self.paths.iter().filter(|other| *other != path).cloned().collect()
    }
}
