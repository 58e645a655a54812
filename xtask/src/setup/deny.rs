//! cargo-deny, which looks at licences, sources and bans of dependencies: built from its source into a folder of this
//! user's.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{
    linker::{forget_workspace, try_out},
    linker_path::data_dir,
    pins::Pins,
};
use crate::{process, workspace};

/// Finds the program in its version, and builds it if it is not there.
pub(super) fn find(pins: &Pins) -> Result<PathBuf> {
    let version = &pins.cargo_deny;
    let data_dir = data_dir().context("neither XDG_DATA_HOME nor HOME says where to keep cargo-deny")?;
    let root = data_dir.join(format!("cargo-deny-{version}"));
    let program = root.join("bin/cargo-deny");
    if try_out(&program, version).is_err() {
        build(version, &root)?;
        try_out(&program, version)?;
    }
    Ok(program)
}

fn build(version: &str, root: &Path) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["install", "--locked", "cargo-deny", "--version", version, "--force", "--root"]).arg(root);
    forget_workspace(&mut command);
    // It runs for a second, and would be optimised for minutes.
    for (name, value) in [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "16")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    process::run_with_progress(&format!("building cargo-deny {version}, about a minute"), &mut command)
}
