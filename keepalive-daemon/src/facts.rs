//! What the node itself does to connections that are silent, and where it runs: read from the files of the kernel, and
//! never asked of a network.

mod machine;
mod namespace;
mod routing;

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kernel::{self, InNamespace};

pub(crate) use machine::Machine;
pub(crate) use namespace::{Conntrack, Ipvs, KeepAliveDefaults, Namespace};

/// The readers of `/proc/net`, for fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) mod readers {
    pub(crate) use super::{
        namespace::{interfaces, tcp_services},
        routing::{forwarders, of_files},
    };
}

/// Where the node's own network namespace is found, unless the daemon is in it or may not look.
const FIRST_PROCESS: &str = "/proc/1/ns/net";

/// Facts of a node that decide how long a silent connection lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    pub(crate) machine: Machine,
    /// Of each network namespace; that of the daemon first.
    pub(crate) namespaces: Vec<Namespace>,
    /// Namespaces that could not be looked at, and why.
    pub(crate) unreachable: Vec<String>,
}

/// Gathers them. It enters every network namespace in turn, so it is for a thread that may wait.
///
/// # Errors
/// If not even the daemon's own namespace can be looked at.
pub(crate) fn gather() -> Result<Facts> {
    let proc = Path::new("/proc");
    let look = || (namespace::read(proc), routing::read(proc));
    let (found, unreachable) = kernel::in_every_namespace(look)?;
    let names: Vec<_> = found.iter().map(|it| it.name.clone()).collect();
    // A daemon in a pod has a namespace of its own, and the first process of the node has the node's.
    let node = names.iter().position(|name| name == FIRST_PROCESS).unwrap_or_default();
    let routings =
        found.iter().map(|InNamespace { found: (it, routing), .. }| (it.forwards, routing.clone()));
    let forwarders = routing::forwarders(&routings.collect::<Vec<_>>(), node).into_iter();
    let namespaces = found.into_iter().zip(forwarders).enumerate();
    let namespaces = namespaces.map(|(index, (InNamespace { name, id, found }, forwarders))| Namespace {
        name,
        id,
        is_nodes: index == node,
        forwarded_by: forwarders.into_iter().filter_map(|it| names.get(it).cloned()).collect(),
        ..found.0
    });
    Ok(Facts {
        machine: machine::read(Path::new("/sys")),
        namespaces: namespaces.collect(),
        unreachable: unreachable.into_iter().map(|(name, why)| format!("{name}: {why}")).collect(),
    })
}
