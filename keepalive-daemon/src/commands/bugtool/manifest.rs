//! What is in the archive, and what is not.

use std::time::SystemTime;

use serde::Serialize;

/// The contents.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    version: &'static str,
    /// As RFC 3339.
    made_at: String,
    /// Whether the addresses of connections were asked for.
    with_addresses: bool,
    files: Vec<Present>,
    /// What could not be had.
    missing: Vec<Missing>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Present {
    file: &'static str,
    about: &'static str,
    bytes: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    file: &'static str,
    about: &'static str,
    why: String,
}

impl Manifest {
    pub(super) fn new(with_addresses: bool) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            made_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            with_addresses,
            files: Vec::new(),
            missing: Vec::new(),
        }
    }

    pub(super) fn has(&mut self, file: &'static str, about: &'static str, bytes: usize) {
        self.files.push(Present { file, about, bytes });
    }

    pub(super) fn lacks(&mut self, file: &'static str, about: &'static str, why: &anyhow::Error) {
        self.missing.push(Missing { file, about, why: format!("{why:#}") });
    }
}
