//! What of the node the daemon has to do with besides cgroups: looked at, and not changed.

use anyhow::Result;

use super::{Check, State};
use crate::{
    kernel,
    workloads::{CriSocket, ask_runtime},
};

pub(super) fn checks(runtime: &CriSocket) -> Vec<Check> {
    vec![namespaces(), container_runtime(runtime)]
}

/// Enters each network namespace, on a thread that ends there.
fn namespaces() -> Check {
    let (name, purpose) =
        ("network namespaces", "connections open before their policy, `sockets` and `check`");
    match kernel::in_every_namespace(|| ()) {
        Ok((entered, unreachable)) => match &unreachable[..] {
            [] => Check::present(name, purpose, format!("{} entered", entered.len())),
            [(first, why), others @ ..] => {
                let found = format!(
                    "{} entered, and not {first}{}: {why}",
                    entered.len(),
                    if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) }
                );
                Check::absent(name, State::Degraded, purpose, found)
            }
        },
        Err(error) => Check::absent(name, State::Degraded, purpose, format!("{error:#}")),
    }
}

fn container_runtime(socket: &CriSocket) -> Check {
    let (name, purpose) = ("container runtime", "policies for pods");
    match ask(socket) {
        Ok(Some(found)) => Check::present(name, purpose, found),
        Ok(None) => {
            let cure = "nothing, on a host without pods; else pass --cri-socket";
            Check::absent(name, State::Degraded, purpose, cure)
        }
        Err(error) => Check::absent(name, State::Degraded, purpose, format!("{error:#}")),
    }
}

fn ask(socket: &CriSocket) -> Result<Option<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ask_runtime(socket))
}
