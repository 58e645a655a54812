//! `cargo xtask setup`: makes a machine able to build and to test. The other verbs call the parts they need.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{console, failures::Failures, process, workspace};

mod bench;
mod bpftune;
mod debs;
mod deny;
mod fuzzer;
mod linker;
mod linker_path;
mod links;
mod machine;
mod packages;
mod pins;
mod pods;
mod prometheus;
mod toolchain;

pub use bench::BenchTools;
pub use machine::Machine;
use pins::Pins;
pub use pods::PodTools;
pub use prometheus::Prometheus;
use toolchain::Compiler;

/// Installs what is missing to build and to test: the eBPF compiler and linker, what tests call, and what builds
/// the image.
#[derive(Clone, Debug, Args)]
pub struct Options {}

/// Installs what is missing and tells what there is.
///
/// # Errors
///
/// If something cannot be installed; the parts that can be are installed all the same.
pub fn run(Options {}: Options) -> Result<()> {
    let start = Instant::now();
    let mut failures = Failures::new();
    for (what, part) in [
        ("eBPF compiler and linker", ebpf_toolchain as fn() -> Result<()>),
        ("tools for tests and the demo", test_tools),
        ("what tests of pods run", || pod_tools().map(drop)),
        ("what tests of metrics run", || prometheus().map(drop)),
        ("what tests run beside the daemon", || bpftune().map(drop)),
        ("what tests hostile requests", || fuzzer().map(drop)),
        ("what the benchmark compares with", || bench_tools().map(drop)),
        ("what builds the image", || image_builder().map(drop)),
        ("tools for lint", lint_tools),
    ] {
        if failures.check(what, part()).is_some() {
            console::result(format_args!("ready: {what}"));
        }
    }
    failures.finish()?;
    console::result(format_args!("set up, in {:.1} s", start.elapsed().as_secs_f32()));
    Ok(())
}

/// Makes sure that the eBPF program can be built. Silent if there is nothing to do.
///
/// # Errors
///
/// If the compiler or the linker is missing and cannot be installed.
pub fn ebpf_toolchain() -> Result<()> {
    let pins = Pins::read()?;
    let compiler = ebpf_compiler(&pins)?;
    if let Err(missing) = linker::find(&pins, &compiler) {
        console::progress(format_args!(
            "setting up the eBPF linker for rustc {} with LLVM {}: {missing}",
            compiler.release, compiler.llvm
        ));
        linker::install(&pins, &compiler).context("cannot install the eBPF linker")?;
    }
    Ok(())
}

/// Makes sure that the eBPF compiler has clippy, and returns the compiler's rustup name. Silent if there is
/// nothing to do.
///
/// # Errors
///
/// If the compiler or its clippy is missing and cannot be installed.
pub fn ebpf_clippy() -> Result<String> {
    let pins = Pins::read()?;
    let compiler = ebpf_compiler(&pins)?;
    if !compiler.has_clippy() {
        toolchain::install_clippy(&pins, &compiler)?;
    }
    Ok(pins.toolchain)
}

/// Makes sure that the programs that tests and the demo call are there. Silent if there is nothing to do.
///
/// # Errors
///
/// If one is missing and cannot be installed.
pub fn test_tools() -> Result<()> {
    let Pins { test_tools, .. } = Pins::read()?;
    packages::install_commands(&test_tools, "what tests and the demo call")
}

/// Makes sure that there is what compiles libFuzzer. Silent if there is nothing to do.
///
/// # Errors
///
/// If it is missing and cannot be installed.
pub fn libfuzzer_compiler() -> Result<()> {
    packages::install_commands(&Pins::read()?.libfuzzer, "what compiles libFuzzer")
}

/// Makes sure that there is what the tests of pods run, and tells where. Nothing of it is installed: packages are
/// unpacked into a folder of this user's. Silent if there is nothing to do.
///
/// # Errors
///
/// If a package is missing and cannot be fetched.
pub fn pod_tools() -> Result<PodTools> {
    pods::find(&Pins::read()?)
}

/// Makes sure that there is what asks the control socket hostile questions, and returns its path. It is in a folder of
/// this user's. Silent if there is nothing to do.
///
/// # Errors
///
/// If it is missing and cannot be fetched.
pub fn fuzzer() -> Result<PathBuf> {
    fuzzer::find(&Pins::read()?)
}

/// Makes sure that there is the client of Kubernetes, which renders manifests, and returns its path; like
/// [`pod_tools`], without the rest. Silent if there is nothing to do.
///
/// # Errors
///
/// If it is missing and cannot be fetched.
pub fn kubectl() -> Result<PathBuf> {
    pods::find_kubectl(&Pins::read()?)
}

/// Makes sure that there is a Prometheus, and tells where; like [`pod_tools`]. Silent if there is nothing to do.
///
/// # Errors
///
/// If it is missing and cannot be fetched.
pub fn prometheus() -> Result<Prometheus> {
    prometheus::find(&Pins::read()?)
}

/// Makes sure that there is bpftune's tuner of connections, and tells where; like [`pod_tools`]. Silent if there is
/// nothing to do.
///
/// # Errors
///
/// If it is missing and cannot be fetched.
pub fn bpftune() -> Result<PathBuf> {
    bpftune::find(&Pins::read()?)
}

/// Makes sure that there is what the benchmark compares with, and tells where; the libraries are unpacked and not
/// installed, like [`pod_tools`]. Silent if there is nothing to do.
///
/// # Errors
///
/// If something is missing and cannot be installed or fetched.
pub fn bench_tools() -> Result<BenchTools> {
    bench::find(&Pins::read()?)
}

/// Makes sure that there is what runs a machine with the kernel of a line, such as `6.1`, and tells where. The kernel is
/// unpacked and not installed. Silent if there is nothing to do.
///
/// # Errors
///
/// If the line is unknown, or something is missing and cannot be installed or fetched.
pub fn machine(kernel: &str) -> Result<Machine> {
    machine::find(&Pins::read()?, kernel)
}

/// The lines of kernels that there are machines with, the oldest first.
///
/// # Errors
///
/// If the root manifest cannot be read.
pub fn kernel_lines() -> Result<Vec<String>> {
    Pins::read().map(|pins| machine::lines(&pins))
}

/// Makes sure that there is a program that builds images, and returns its path. Silent if there is nothing to do.
///
/// # Errors
///
/// If there is none and none can be installed.
pub fn image_builder() -> Result<PathBuf> {
    let Pins { image_builder, .. } = Pins::read()?;
    let find = || ["buildah", "podman"].into_iter().find_map(process::find);
    if let Some(found) = find() {
        return Ok(found);
    }
    packages::install(&[&image_builder], "what builds the image")?;
    find().with_context(|| format!("the package {image_builder} has neither buildah nor podman"))
}

/// Makes sure that there is what looks at licences, sources and bans of dependencies, and returns its path. It is in a
/// folder of this user's. Silent if there is nothing to do.
///
/// # Errors
///
/// If it is missing and cannot be built.
pub fn cargo_deny() -> Result<PathBuf> {
    deny::find(&Pins::read()?)
}

/// Makes sure that there are `cargo fmt` and `cargo clippy`, for both sides, `cargo deny`, and what builds the eBPF
/// program, without which the host side is not built either. Silent if there is nothing to do.
///
/// # Errors
///
/// If one is missing and cannot be fetched.
pub fn lint_tools() -> Result<()> {
    for (verb, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if process::output(workspace::cargo().args([verb, "--version"])).is_err() {
            let mut command = std::process::Command::new("rustup");
            command.args(["component", "add", component]).current_dir(workspace::root());
            process::run_with_progress(&format!("fetching {component}, for `cargo {verb}`"), &mut command)?;
        }
    }
    cargo_deny()?;
    ebpf_toolchain()?;
    ebpf_clippy().map(drop)
}

fn ebpf_compiler(pins: &Pins) -> Result<Compiler> {
    toolchain::find(pins).or_else(|missing| {
        console::progress(format_args!("setting up the eBPF compiler: {missing}"));
        toolchain::install(pins)
    })
}
