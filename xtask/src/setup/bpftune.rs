//! bpftune's tuner of connections, from a package that is unpacked and not installed.

use std::{env, path::PathBuf};

use anyhow::Result;

use super::{debs::Debs, pins::Pins};

/// Finds the library that has the tuner's eBPF program in it, and fetches its package if it is not there.
pub(super) fn find(pins: &Pins) -> Result<PathBuf> {
    let path = format!("usr/lib/{}-linux-gnu/bpftune/tcp_conn_tuner.so", env::consts::ARCH);
    Debs::with(&pins.debian, [&pins.bpftune])?.path(&pins.bpftune, &path)
}
