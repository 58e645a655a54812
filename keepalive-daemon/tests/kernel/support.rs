//! What the tests stand on.

use std::process::Command;

mod bpftool;
mod cable;
mod descriptors;
mod eventually;
mod filter;
pub(crate) mod foreign;
mod host;
mod http;
mod kernel_log;
pub(crate) mod objects;
mod peer;
pub(crate) mod picture;
mod privileges;
mod prober;
mod scale;
mod steps;
mod terminal;

pub(crate) use bpftool::{bpftool, list};
pub(crate) use cable::{NEAR, far_end};
pub(crate) use descriptors::{connections_of, sockets_of};
pub(crate) use eventually::{eventually, eventually_is};
pub(crate) use host::{Host, document, stop};
pub(crate) use http::get;
pub(crate) use kernel_log::kernel_complaints;
pub(crate) use peer::{Pair, Peer};
pub(crate) use privileges::{NOBODY, inside, public_program, with_little_memory, with_privileges};
pub(crate) use prober::Prober;
pub(crate) use scale::scaled;
pub(crate) use steps::{At, End, Ended, run_until};
pub(crate) use terminal::Terminal;

use keepalive_daemon::features::Feature;

use crate::{
    confined::{Unlisted, confined},
    needs,
    peer::Options,
};

/// The daemon's program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_keepalive-daemon");

/// The daemon's program, with no more than the documents give it.
pub(crate) fn daemon() -> Command {
    confined(PROGRAM, Unlisted::Kills)
}

/// The counter of the connections that a policy armed: another where programs cannot read what the application had set.
pub(crate) fn armed_counter() -> &'static str {
    if needs::present().contains(&Feature::ReadBack) { "armed" } else { "armed_blind" }
}

/// What a socket has that nobody touched.
pub(crate) const UNTOUCHED: Options = options(false, 7200, 75, 9, 0);

/// A socket's options.
pub(crate) const fn options(
    keepalive: bool,
    idle_s: u64,
    interval_s: u64,
    probes: u32,
    user_timeout_ms: u64,
) -> Options {
    Options {
        keepalive: Some(keepalive),
        idle_s: Some(idle_s),
        interval_s: Some(interval_s),
        probes: Some(probes),
        user_timeout_ms: Some(user_timeout_ms),
    }
}
