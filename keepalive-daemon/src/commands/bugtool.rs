//! `bugtool`: one archive for whoever is to find out what is wrong, without asking for anything twice.
//!
//! It holds what the daemon, the kernel and the node say about keep-alive, and nothing of anybody's data: no payload,
//! environment or command line, no annotation or label that is not ours, and addresses only if they are asked for. The
//! log is left out, too: it is kept by systemd or the container runtime, with lines of others in it, and what it says
//! that matters is in the status and the events.

mod archive;
mod bpftool;
mod connections;
mod daemon;
mod host;
mod manifest;
mod metrics;
mod program;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::failure::Verdict;
use crate::{
    cli::{BpffsArg, CgroupRootArg, SocketArg},
    report,
};
use archive::Archive;
use manifest::Manifest;

/// Collect what is known of this node's keep-alive in one archive, for a bug report.
///
/// Works with and without a daemon; what could not be had is listed, with the reason, in `manifest.json`. Look through
/// it before you send it: names of pods, cgroups and policies are in it, no payload, no environment, no command line, no
/// annotation that is not this program's, and no address of a connection unless --with-addresses is given.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The archive to write, which must not exist yet [default: keepalive-bugtool-HOST-TIME.tar.gz].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also list the connections one by one, with the addresses of both ends.
    #[arg(long)]
    with_addresses: bool,
    /// Where the daemon serves metrics, as it was told itself.
    #[arg(long, value_name = "ADDRESS|none", env = "KEEPALIVE_METRICS", default_value = "127.0.0.1:9798")]
    metrics: String,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    bpffs: BpffsArg,
    #[command(flatten)]
    cgroup_root: CgroupRootArg,
}

/// Where everything comes from.
struct Source {
    socket: PathBuf,
    metrics: String,
    with_addresses: bool,
    bpffs: PathBuf,
    cgroup_root: Option<PathBuf>,
}

/// A file of the archive.
#[derive(Clone, Copy)]
struct Part {
    file: &'static str,
    about: &'static str,
    collect: fn(&Source) -> Result<Vec<u8>>,
}

/// All but the manifest, in their order.
fn parts(with_addresses: bool) -> Vec<Part> {
    let connections = if with_addresses { connections::PARTS } else { &connections::PARTS[..1] };
    [host::PARTS, daemon::PARTS, connections, metrics::PARTS, bpftool::PARTS].concat()
}

/// Collects, packs, and prints where it is.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { output, with_addresses, metrics, socket, bpffs, cgroup_root } = options;
    let source = Source {
        socket: socket.api_socket.clone(),
        metrics: metrics.clone(),
        with_addresses: *with_addresses,
        bpffs: bpffs.bpffs.clone(),
        cgroup_root: cgroup_root.cgroup_root.clone(),
    };
    let name = name(SystemTime::now())?;
    let output = output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    // Before anything is asked for: what cannot be written needs not be known.
    let mut archive = Archive::create(&output, &name)?;
    let mut manifest = Manifest::new(*with_addresses);
    for Part { file, about, collect } in parts(*with_addresses) {
        tell(file);
        match collect(&source) {
            Ok(content) => {
                archive.add(file, &content)?;
                manifest.has(file, about, content.len());
            }
            Err(error) => {
                tell(&format!("{file}: {error:#}"));
                manifest.lacks(file, about, &error);
            }
        }
    }
    archive.add("manifest.json", &json(&manifest)?)?;
    archive.finish()?;
    report::print_text(&shown(&output))?;
    Ok(Verdict::Good)
}

/// What the archive, and the directory in it, are called.
fn name(now: SystemTime) -> Result<String> {
    let host = nix::unistd::gethostname().context("cannot read the host's name")?;
    let time = humantime::format_rfc3339_seconds(now).to_string().replace([':', '-'], "");
    Ok(format!("keepalive-bugtool-{}-{time}", host.to_string_lossy().replace('/', "_")))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Tells of the progress whoever waits.
fn tell(what: &str) {
    // Without anybody there is nobody to tell.
    let _ = writeln!(io::stderr(), "bugtool: {what}");
}

fn ndjson<T: Serialize>(values: &[T]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, value).context("cannot write JSON")?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).context("cannot write JSON")?;
    text.push(b'\n');
    Ok(text)
}
