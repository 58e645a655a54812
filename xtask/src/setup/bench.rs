//! What the benchmark compares with: a compiler of eBPF programs in C, and libraries to preload, from packages that are
//! unpacked and not installed.

use std::{collections::BTreeMap, env, path::PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::{
    debs::Debs,
    packages,
    pins::{Package, Pins},
};

/// Where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct BenchPackages {
    libkeepalive: Package,
    libdontdie: Package,
    /// Command and the Debian package it is in.
    commands: BTreeMap<String, String>,
}

/// What users preload today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchTools {
    /// That of `libkeepalive0`.
    pub libkeepalive: PathBuf,
    /// That of `libdontdie0`.
    pub libdontdie: PathBuf,
}

/// Finds the libraries, and fetches what is not there.
pub(super) fn find(pins: &Pins) -> Result<BenchTools> {
    let BenchPackages { libkeepalive, libdontdie, commands } = &pins.bench;
    packages::install_commands(commands, "what the benchmark compares with")?;
    let debs = Debs::with(&pins.debian, [libkeepalive, libdontdie])?;
    let directory = format!("usr/lib/{}-linux-gnu", env::consts::ARCH);
    Ok(BenchTools {
        libkeepalive: debs.path(libkeepalive, "usr/lib/libkeepalive.so.0")?,
        libdontdie: debs.path(libdontdie, &format!("{directory}/libdontdie.so"))?,
    })
}
