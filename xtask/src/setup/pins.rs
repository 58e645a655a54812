//! What set-up installs: the table `[workspace.metadata.setup]` of the root manifest.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{bench::BenchPackages, machine::MachinePackages};
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
    /// What libFuzzer is compiled with, likewise.
    pub(crate) libfuzzer: BTreeMap<String, String>,
    /// The version of what looks at licences, sources and bans of dependencies.
    pub(crate) cargo_deny: String,
    /// What builds an image where nothing is there that can.
    pub(crate) image_builder: String,
    /// What scrapes the daemon in a test, and checks its rules and metrics.
    pub(crate) prometheus: Package,
    /// What a test runs beside the daemon: another tool's program.
    pub(crate) bpftune: Package,
    /// What the benchmark compares with.
    pub(crate) bench: BenchPackages,
    /// Where packages come from that are unpacked.
    pub(crate) debian: Debian,
    /// What the tests of pods run.
    pub(crate) pod_tools: PodPackages,
    /// What asks the control socket hostile questions: packages of PyPI, each with its version.
    pub(crate) fuzzer: BTreeMap<String, String>,
    /// What machines of the tests' own are made of.
    pub(crate) machine: MachinePackages,
}

/// Where packages come from that are unpacked and not installed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Debian {
    /// The URL of the archive.
    pub(crate) mirror: String,
    /// The file with the keys of those who may sign its lists.
    pub(crate) keyring: PathBuf,
}

/// The packages that the tests of pods run programs of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct PodPackages {
    /// The static shell of test images.
    pub(crate) busybox: Package,
    /// The plugins that give pods their network.
    pub(crate) cni_plugins: Package,
    /// What renders the manifests.
    pub(crate) kubectl: Package,
    /// What containerd starts containers with.
    pub(crate) runc: Package,
    /// Each containerd by its line, such as `1.7`.
    pub(crate) containerd: BTreeMap<String, Package>,
}

/// A package of a Debian suite, written `PACKAGE/SUITE`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Package {
    /// The name of the binary package.
    pub(crate) name: String,
    /// The suite, such as `trixie`.
    pub(crate) suite: String,
}

impl TryFrom<String> for Package {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('/') {
            Some((name, suite)) if !name.is_empty() && !suite.is_empty() && !suite.contains('/') => {
                Ok(Self { name: name.to_owned(), suite: suite.to_owned() })
            }
            _ => Err(format!("`{text}` is not a package as PACKAGE/SUITE")),
        }
    }
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

    #[test]
    fn a_package_is_written_with_its_suite() {
        let package: Package = serde_json::from_value(json!("containerd/sid")).unwrap();

        assert_eq!(package, Package { name: "containerd".to_owned(), suite: "sid".to_owned() });
    }

    #[test]
    fn a_package_without_a_suite_or_with_two_is_refused() {
        for text in ["containerd", "containerd/", "/sid", "containerd/sid/main"] {
            let error = serde_json::from_value::<Package>(json!(text)).unwrap_err();

            assert_eq!(error.to_string(), format!("`{text}` is not a package as PACKAGE/SUITE"));
        }
    }
}
