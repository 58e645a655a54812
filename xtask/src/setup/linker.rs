//! bpf-linker, built against an LLVM that reads what the eBPF compiler writes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{linker_path, links::point_to, packages, pins::Pins, toolchain::Compiler};
use crate::{console, process, workspace};

/// The linker, if it is there and was made for `compiler`.
///
/// The error says what is missing.
pub(super) fn find(pins: &Pins, compiler: &Compiler) -> Result<PathBuf> {
    let data_dir = data_dir()?;
    let link = linker_path::linker(&data_dir, &pins.bpf_linker);
    let linker = fs::read_link(&link).with_context(|| format!("there is no {}", link.display()))?;
    ensure!(
        linker == program(&data_dir, &pins.bpf_linker, compiler.llvm),
        "{} is not the one for LLVM {}",
        link.display(),
        compiler.llvm
    );
    try_out(&linker, &pins.bpf_linker)?;
    Ok(link)
}

/// Installs the linker: built from source where the compiler's LLVM can be had to link with, else the released
/// binary.
pub(super) fn install(pins: &Pins, compiler: &Compiler) -> Result<PathBuf> {
    let data_dir = data_dir()?;
    let linker = program(&data_dir, &pins.bpf_linker, compiler.llvm);
    if try_out(&linker, &pins.bpf_linker).is_err() {
        let root = root(&data_dir, &pins.bpf_linker, compiler.llvm);
        match llvm(pins, compiler) {
            Ok(llvm) => build(&pins.bpf_linker, compiler.llvm, &llvm, &root)?,
            Err(missing) => {
                console::progress(format_args!("cannot build it: {missing:#}"));
                download(&pins.bpf_linker, &linker)?;
            }
        }
        try_out(&linker, &pins.bpf_linker)?;
    }
    let link = linker_path::linker(&data_dir, &pins.bpf_linker);
    point_to(&linker, &link)?;
    console::progress(format_args!("{} is {}", link.display(), linker.display()));
    find(pins, compiler)
}

/// Where the compiler's LLVM lies with what it takes to link with it; installs it where Debian has it.
fn llvm(pins: &Pins, compiler: &Compiler) -> Result<PathBuf> {
    let llvm = PathBuf::from(format!("/usr/lib/llvm-{}", compiler.llvm));
    ensure!(
        compiler.llvm == pins.llvm,
        "the compiler has LLVM {}, and the root manifest names packages of LLVM {} only",
        compiler.llvm,
        pins.llvm
    );
    let missing = packages::missing(&pins.debian_llvm);
    if !missing.is_empty() {
        packages::install(&missing, "the eBPF linker's LLVM")?;
    }
    let header = llvm.join("include/llvm-c/Core.h");
    ensure!(header.is_file(), "there is no {}", header.display());
    Ok(llvm)
}

fn build(version: &str, llvm: u32, prefix: &Path, root: &Path) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["install", "--locked", "bpf-linker", "--version", version, "--force", "--root"]).arg(root);
    command.args(["--no-default-features", "--features", &format!("llvm-{llvm}")]);
    // The build script reads the one, the bindings read the other.
    command.env("LLVM_PREFIX", prefix).env(format!("LLVM_SYS_{llvm}1_PREFIX"), prefix);
    forget_workspace(&mut command);
    process::run_with_progress(
        &format!("building bpf-linker {version} for LLVM {llvm}, about a minute"),
        &mut command,
    )
}

/// Takes from the environment of a build what is meant for that of this workspace.
pub(super) fn forget_workspace(command: &mut Command) {
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
}

/// Fetches the binary that the linker's project releases, which has its LLVM in it.
fn download(version: &str, linker: &Path) -> Result<()> {
    for tool in ["curl", "tar", "zstd"] {
        if process::find(tool).is_none() {
            packages::install(&[tool], "fetching the eBPF linker")?;
        }
    }
    let folder = linker.parent().context("the linker has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let archive = format!("bpf-linker-{}-unknown-linux-musl.tar.zst", env::consts::ARCH);
    let url = format!("https://github.com/aya-rs/bpf-linker/releases/download/v{version}/{archive}");
    let file = folder.join(&archive);
    let mut command = Command::new("curl");
    command.args(["--fail", "--location", "--show-error", "--silent", "--output"]).arg(&file).arg(&url);
    process::run_with_progress(&format!("fetching {url}"), &mut command)?;
    let mut command = Command::new("tar");
    command.arg("--extract").arg("--zstd").arg("--file").arg(&file).arg("--directory").arg(folder);
    process::output(&mut command)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
}

/// Sees whether a program that cargo installed runs and is the wanted version.
pub(super) fn try_out(program: &Path, version: &str) -> Result<()> {
    let said = process::output(Command::new(program).arg("--version"))?;
    ensure!(
        said.split_whitespace().nth(1) == Some(version),
        "{} is `{}`, not version {version}",
        program.display(),
        said.trim()
    );
    Ok(())
}

fn data_dir() -> Result<PathBuf> {
    linker_path::data_dir().context("neither XDG_DATA_HOME nor HOME says where to keep the eBPF linker")
}

/// A folder a version and LLVM, so that one never passes for another.
fn root(data_dir: &Path, version: &str, llvm: u32) -> PathBuf {
    data_dir.join(format!("bpf-linker-{version}-llvm{llvm}"))
}

fn program(data_dir: &Path, version: &str, llvm: u32) -> PathBuf {
    root(data_dir, version, llvm).join("bin/bpf-linker")
}
