//! What the node itself does to connections that are silent, and where it runs: read from the files of the kernel, and
//! never asked of a network.

mod machine;
mod namespace;

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kernel;

pub(crate) use machine::Machine;
pub(crate) use namespace::{Conntrack, Ipvs, KeepAliveDefaults, Namespace};

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
    let (found, unreachable) = kernel::in_every_namespace(|| namespace::read(Path::new("/proc")))?;
    let namespaces = found.into_iter().enumerate().map(|(index, (name, found))| {
        // The one of whoever asks comes first.
        Namespace { name, is_daemons: index == 0, ..found }
    });
    Ok(Facts {
        machine: machine::read(Path::new("/sys")),
        namespaces: namespaces.collect(),
        unreachable: unreachable.into_iter().map(|(name, why)| format!("{name}: {why}")).collect(),
    })
}
