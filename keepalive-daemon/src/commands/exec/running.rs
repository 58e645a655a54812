//! `exec --pid`: the connections that a running process has open, once.

use anyhow::{Result, bail};
use keepalive_ebpf::{Direction, Mode, Policy, Sweep, Target, Timers};

use crate::{
    commands::failure::Verdict,
    kernel::{Running, sweep_process},
    report::{
        self, Output,
        sweep::{SweptSocket, SweptSockets},
    },
};

/// Sets the values on the open connections of a process and its descendants, and prints what came of each.
///
/// # Errors
/// If there is no such process, or a right is missing; what could be reached is set and printed all the same.
pub(super) fn apply(pid: u32, timers: Timers, mode: Mode, dry_run: bool, output: Output) -> Result<Verdict> {
    let target = target(timers, mode, dry_run);
    let Running { connections, denied, failed } = sweep_process(pid, &target)?;
    let listing = SweptSockets {
        dry_run: matches!(target.sweep, Sweep::Tell),
        sockets: connections
            .iter()
            .map(|(pid, swept)| SweptSocket { pid: Some(*pid), ..SweptSocket::from(swept) })
            .collect(),
    };
    report::print(&listing, output)?;
    if let Some(failed) = failed.into_iter().next() {
        return Err(failed);
    }
    if !denied.is_empty() {
        let denied: Vec<String> = denied.iter().map(ToString::to_string).collect();
        bail!(
            "cannot get at the sockets of the processes {} that descend from {pid}; it takes root with CAP_SYS_PTRACE",
            denied.join(", ")
        );
    }
    let any_refused = listing.sockets.iter().any(|socket| socket.error.is_some());
    Ok(if any_refused { Verdict::Bad } else { Verdict::Good })
}

/// To monitor is to tell what the default mode would do: what would be set says more than that something would be.
const fn target(timers: Timers, mode: Mode, dry_run: bool) -> Target {
    let monitors = matches!(mode, Mode::Monitor);
    let mode = if monitors { Mode::Tighten } else { mode };
    Target {
        sweep: if dry_run || monitors { Sweep::Tell } else { Sweep::Apply },
        has_previous: 0,
        policy: Policy::new(mode, Direction::Both, timers),
        previous: Policy::NOTHING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_monitor_is_to_tell_what_tighten_would_do() {
        for (mode, dry_run, expected) in [
            (Mode::Tighten, false, (Sweep::Apply, Mode::Tighten)),
            (Mode::Tighten, true, (Sweep::Tell, Mode::Tighten)),
            (Mode::FillMissing, true, (Sweep::Tell, Mode::FillMissing)),
            (Mode::Monitor, false, (Sweep::Tell, Mode::Tighten)),
        ] {
            let target = target(Timers::NONE, mode, dry_run);
            assert_eq!((target.sweep, target.policy.mode()), expected);
        }
    }
}
