//! The eBPF side, as it is compiled for BPF: clippy on the host sees none of it.

use std::{env, process::Command};

use anyhow::Result;

use crate::{process, setup, workspace};

/// Runs clippy with the eBPF compiler, for BPF.
pub(super) fn clippy() -> Result<()> {
    let toolchain = setup::ebpf_clippy()?;
    let mut command = Command::new("rustup");
    command.current_dir(workspace::root());
    command.args(["run", &toolchain, "cargo", "clippy", "--locked", "--package", "keepalive-ebpf"]);
    command.args(["--lib", "--bins", "--release", "--target=bpfel-unknown-none", "-Zbuild-std=core"]);
    // Apart from the rest: what another compiler has built there would be built again.
    command.arg("--target-dir").arg(workspace::target_dir()?.join("lint-ebpf"));
    command.args(["--", "--deny", "warnings"]);
    command.env("RUSTC_BOOTSTRAP", "1");
    // The bindings differ with the machine whose registers the program reads.
    command.env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH));
    for name in ["RUSTC", "RUSTUP_TOOLCHAIN", "CARGO"] {
        command.env_remove(name);
    }
    process::run(&mut command)
}
