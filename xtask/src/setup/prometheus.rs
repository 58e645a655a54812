//! A Prometheus for the tests of metrics and alerts, from a package that is unpacked and not installed.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{debs::Debs, pins::Pins};

/// Where the programs of Prometheus lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prometheus {
    /// The server, which scrapes and answers queries.
    pub server: PathBuf,
    /// What checks rules, their tests, and metrics.
    pub promtool: PathBuf,
}

/// Finds the programs of the package in `pins`, and fetches it if it is not there.
pub(super) fn find(pins: &Pins) -> Result<Prometheus> {
    let package = &pins.prometheus;
    let debs = Debs::with(&pins.debian, [package])?;
    Ok(Prometheus {
        server: debs.path(package, "usr/bin/prometheus")?,
        promtool: debs.path(package, "usr/bin/promtool")?,
    })
}
