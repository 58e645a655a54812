//! `cargo xtask build`: the daemon, with the eBPF program in it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use cargo_metadata::{Message, camino::Utf8PathBuf};
use clap::Args;

use crate::{console, process, setup, workspace};

/// The daemon's package and program.
const DAEMON: &str = "keepalive-daemon";

/// Builds the daemon, with the eBPF program in it.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Options {
    /// Optimised, as it is deployed.
    #[arg(long)]
    pub release: bool,
    /// Without shared libraries, for images that have none.
    #[arg(long = "static")]
    pub is_static: bool,
}

/// Builds the daemon and tells where it is.
///
/// # Errors
///
/// If set-up or the build fails.
pub fn run(options: Options) -> Result<()> {
    let daemon = daemon_with(options)?;
    console::result(daemon.display());
    Ok(())
}

/// Builds the daemon for trying it out and returns its path.
///
/// # Errors
///
/// If set-up or the build fails.
pub fn daemon() -> Result<PathBuf> {
    daemon_with(Options::default())
}

/// Builds the daemon as `options` say and returns its path.
///
/// # Errors
///
/// If set-up or the build fails.
pub fn daemon_with(options: Options) -> Result<PathBuf> {
    let Options { release, is_static } = options;
    let mut arguments = Vec::new();
    if release {
        arguments.push("--profile=dist".to_owned());
    }
    let mut flags: Option<Vec<_>> = None;
    if is_static {
        // Named, so that the flags are not for build scripts and macros, which are shared libraries.
        arguments.push(format!("--target={}-unknown-linux-gnu", env::consts::ARCH));
        let more = env::var("RUSTFLAGS").unwrap_or_default();
        let more = more.split_whitespace().map(str::to_owned);
        let paths = nameless_paths(&workspace::target_dir()?);
        flags = Some(more.chain(["-Ctarget-feature=+crt-static".to_owned()]).chain(paths).collect());
    }
    build(&arguments, flags)
}

/// Flags that keep out of a program where it was built, which it tells in panics: wherever that is, the same source is the
/// same program. Of several that fit, the compiler takes the last.
fn nameless_paths(target_dir: &Path) -> Vec<String> {
    let home = |variable: &str, folder: &str| {
        let home = env::var_os("HOME").map(|home| Path::new(&home).join(folder));
        env::var_os(variable).map(PathBuf::from).or(home)
    };
    let folders = [
        (home("RUSTUP_HOME", ".rustup"), "/rustup"),
        (home("CARGO_HOME", ".cargo"), "/cargo"),
        (Some(workspace::root().to_owned()), "/source"),
        (Some(target_dir.to_owned()), "/target"),
    ];
    let known = folders.iter().filter_map(|(folder, name)| Some((folder.as_ref()?, name)));
    known.map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display())).collect()
}

/// Builds the daemon of a later version, whose storage has another layout, and returns the path of a copy.
///
/// A copy, because it shares the target folder with the daemon of this version, so that their dependencies
/// are compiled once; whoever builds both builds this one first and leaves the other in its usual place.
///
/// # Errors
///
/// If set-up, the build or the copying fails.
pub fn next_daemon() -> Result<PathBuf> {
    let built = build(&["--features=next-abi".to_owned()], None)?;
    let folder = workspace::target_dir()?.join("next-abi");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let copy = folder.join(DAEMON);
    // A program that runs cannot be written to, but it can be replaced.
    let temporary = folder.join(format!("{DAEMON}.{}", std::process::id()));
    fs::copy(&built, &temporary)
        .with_context(|| format!("cannot copy {} to {}", built.display(), copy.display()))?;
    fs::rename(&temporary, &copy).with_context(|| format!("cannot create {}", copy.display()))?;
    Ok(copy)
}

/// Runs `cargo build` or the like, with its messages for people on standard error, and returns the program
/// made of `target`.
///
/// # Errors
///
/// If it fails or builds no such program.
pub(crate) fn executable(command: &mut Command, target: &str) -> Result<PathBuf> {
    command.arg("--message-format=json-render-diagnostics");
    let messages = process::output_only(command)?;
    let executables = Message::parse_stream(messages.as_bytes()).filter_map(|message| match message {
        Ok(Message::CompilerArtifact(artifact)) if artifact.target.name == target => artifact.executable,
        _ => None,
    });
    let executable = executables.last().map(Utf8PathBuf::into_std_path_buf);
    executable.with_context(|| format!("`{}` built no program `{target}`", process::describe(command)))
}

fn build(arguments: &[String], flags: Option<Vec<String>>) -> Result<PathBuf> {
    setup::ebpf_toolchain()?;
    let mut command = workspace::cargo();
    command.args(["build", "--locked", "--package", DAEMON, "--bin", DAEMON]).args(arguments);
    if let Some(flags) = flags {
        // In this form, a folder may have spaces in its name.
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    }
    executable(&mut command, DAEMON)
}
