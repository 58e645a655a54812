//! What the tests of pods run: container runtimes, from packages that are unpacked and not installed.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    debs::Debs,
    pins::{Pins, PodPackages},
};

/// Where its package has the client of Kubernetes.
const KUBECTL: &str = "usr/bin/kubectl";

/// Where the programs lie that the tests of pods run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodTools {
    /// By its line (`1.6`, `1.7`, `2`) the folder of each containerd's programs, for the front of a `PATH`.
    pub containerds: BTreeMap<String, PathBuf>,
    /// The program that containerd starts containers with.
    pub runc: PathBuf,
    /// The folder of the plugins that give pods their network.
    pub cni_plugins: PathBuf,
    /// A shell and its commands in one program that needs no library.
    pub busybox: PathBuf,
    /// The client of Kubernetes, which renders manifests.
    pub kubectl: PathBuf,
}

/// Finds the client of Kubernetes alone, and fetches it if it is not there.
pub(super) fn find_kubectl(pins: &Pins) -> Result<PathBuf> {
    let package = &pins.pod_tools.kubectl;
    Debs::with(&pins.debian, [package])?.path(package, KUBECTL)
}

/// Finds the programs of the packages in `pins`, and fetches what is not there.
pub(super) fn find(pins: &Pins) -> Result<PodTools> {
    let PodPackages { busybox, cni_plugins, kubectl, runc, containerd } = &pins.pod_tools;
    let all = [busybox, cni_plugins, kubectl, runc].into_iter().chain(containerd.values());
    let debs = Debs::with(&pins.debian, all)?;
    let containerds = containerd.iter().map(|(line, package)| {
        debs.path(package, "usr/bin/containerd")?;
        Ok((line.clone(), debs.path(package, "usr/bin")?))
    });
    Ok(PodTools {
        containerds: containerds.collect::<Result<_>>()?,
        runc: debs.path(runc, "usr/sbin/runc")?,
        cni_plugins: debs.path(cni_plugins, "usr/lib/cni")?,
        busybox: debs.path(busybox, "bin/busybox")?,
        kubectl: debs.path(kubectl, KUBECTL)?,
    })
}
