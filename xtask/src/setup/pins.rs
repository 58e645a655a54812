//! What set-up installs: the table `[workspace.metadata.setup]` of the root manifest.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::workspace;

/// The versions and names that set-up needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Pins {
    /// The rustup name of the eBPF compiler.
    pub(crate) toolchain: String,
    /// The toolchain with `rust-src`, where rustup can fetch.
    pub(crate) nightly: String,
    /// The version of bpf-linker.
    pub(crate) bpf_linker: String,
    /// Where rustup cannot: the packages of Debian's compiler.
    pub(crate) debian_compiler: Vec<String>,
    /// The major version of the LLVM in both compilers.
    pub(crate) llvm: u32,
    /// The packages that it takes to build bpf-linker with that LLVM.
    pub(crate) debian_llvm: Vec<String>,
    /// Its clippy, for `cargo xtask lint`.
    pub(crate) debian_clippy: String,
    /// What tests and the demo call: command and the Debian package it is in.
    pub(crate) test_tools: BTreeMap<String, String>,
}

impl Pins {
    /// Reads the root manifest.
    pub(crate) fn read() -> Result<Self> {
        Self::from_table(&workspace::metadata()?.workspace_metadata["setup"])
    }

    fn from_table<'de>(table: impl serde::Deserializer<'de, Error: Send + Sync + 'static>) -> Result<Self> {
        Self::deserialize(table).context("the root Cargo.toml, [workspace.metadata.setup]")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_root_manifest_has_all_pins() {
        let pins = Pins::read().unwrap();

        assert!(pins.debian_llvm.iter().any(|package| package.contains(&pins.llvm.to_string())));
        assert!(pins.test_tools.contains_key("ip"));
    }

    #[test]
    fn a_missing_or_misspelt_pin_is_named() {
        let table = json!({"toolchain": "bpf", "nightly": "nightly-2026-01-01", "linker": "1"});

        let error = Pins::from_table(&table).unwrap_err();

        let text = format!("{error:#}");
        assert!(text.contains("[workspace.metadata.setup]: unknown field `linker`"), "{text}");
    }
}
