//! What came of a connection, and why: pure.

use keepalive_ebpf::{
    Direction, Mode, Observed, Outcome, Policy, Remote, Socket as _, SocketOption, Sweep, Target, Timers,
    judge,
};

use super::places::{Governing, Ruling};
use crate::report::sockets::Verdict;

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) phase: Phase,
    pub(super) direction: Direction,
    pub(super) remote: Remote,
    /// Whether keep-alive is on, by its options or by its timer.
    pub(super) is_on: Option<bool>,
    /// Absent if they cannot be read.
    pub(super) options: Option<Observed>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Open,
    Closing,
}

/// Says what came of a connection, and why.
pub(super) fn verdict(governing: &Governing, facts: &Facts) -> (Verdict, String) {
    let (has_policys_values, why) = explain(governing, facts);
    let verdict = match facts.is_on {
        Some(false) => Verdict::Off,
        Some(true) if has_policys_values => Verdict::Policy,
        Some(true) if facts.options.is_some() => Verdict::Application,
        Some(true) | None => Verdict::Unknown,
    };
    (verdict, why)
}

/// Whether a connection has the values that the policy has for it, and why, or why not.
fn explain(governing: &Governing, facts: &Facts) -> (bool, String) {
    let no = |why: &str| (false, why.to_owned());
    let ruling = match governing {
        Governing::Nobody => return no("no policy governs it"),
        Governing::Exec => return no("`exec` runs it, with values of its own"),
        Governing::Policy(ruling) => ruling,
    };
    let policy = &ruling.policy;
    if policy.is_exempt() {
        return no("its pod opted out");
    }
    if policy.mode() == Mode::Nothing {
        return no("the policy is not in force yet");
    }
    match (policy.direction(), facts.direction) {
        (Direction::Outbound, Direction::Inbound) => {
            return no("the policy is for outbound connections only");
        }
        (Direction::Inbound, Direction::Outbound) => return no("the policy is for inbound connections only"),
        _ => {}
    }
    let wanted = match (policy.destinations(), &ruling.rules) {
        (0, _) => policy.timers(),
        (_, None) => return no("the policy's rules for destinations are not known"),
        (_, Some(rules)) => match rules.find(&facts.remote) {
            Some(timers) => timers,
            None => return no("no rule of the policy is for this destination"),
        },
    };
    match (facts.is_on, &facts.options) {
        (None, _) => no("its options cannot be read"),
        (Some(true), None) => no("on, as its timer shows; its values cannot be read"),
        (Some(false), None) => (false, off(ruling, facts.phase)),
        (Some(_), Some(options)) => by_options(ruling, wanted, facts, options),
    }
}

/// As [`explain`], where the policy is for the connection and its options are known.
fn by_options(ruling: &Ruling, wanted: Timers, facts: &Facts, options: &Observed) -> (bool, String) {
    let Ruling { policy, .. } = ruling;
    let target = Target { sweep: Sweep::Tell, has_previous: 0, policy: *policy, previous: Policy::NOTHING };
    let outcome = judge(&target, facts.direction, Some(wanted), None, options).outcome;
    let why = match outcome {
        Outcome::WouldArm => "Monitor sets nothing; another mode would turn it on".to_owned(),
        Outcome::WouldTighten => "Monitor sets nothing; Tighten would lower its values".to_owned(),
        Outcome::KeepTighter if policy.mode() == Mode::Monitor => {
            "Monitor sets nothing; its values are tight enough".to_owned()
        }
        Outcome::KeepTighter | Outcome::KeepChosen if has(options, &wanted) => {
            return (true, format!("{:?}: it has the policy's values", policy.mode()));
        }
        Outcome::KeepTighter => "the application's own, as tight as the policy's or tighter".to_owned(),
        Outcome::KeepChosen => "FillMissing leaves what the application chose".to_owned(),
        Outcome::Arm => off(ruling, facts.phase),
        Outcome::Tighten => format!("looser than the policy's: {}", otherwise(ruling.open.as_deref())),
        Outcome::Override => format!("other than the policy's: {}", otherwise(ruling.open.as_deref())),
        Outcome::ArmBlind | Outcome::KeepDirection | Outcome::KeepDestination => {
            "its options cannot be read".to_owned()
        }
    };
    (false, why)
}

/// Why keep-alive is off, where the policy is for the connection.
fn off(ruling: &Ruling, phase: Phase) -> String {
    match (phase, ruling.policy.mode()) {
        (Phase::Opening, _) => "it is not established yet".to_owned(),
        (Phase::Closing, _) => "it is closing".to_owned(),
        (Phase::Open, Mode::Monitor) => "Monitor sets nothing; another mode would turn it on".to_owned(),
        (Phase::Open, _) => otherwise(ruling.open.as_deref()).to_owned(),
    }
}

/// How it can be that a connection does not have what the policy says.
fn otherwise(open: Option<&str>) -> &'static str {
    match open {
        Some("swept") => "the application changed it since",
        Some("pending" | "running") => "opened before the policy; its sweep is to come",
        Some("partial") => "opened before the policy and out of reach of its sweep, or changed since",
        Some("unavailable") => {
            "opened before the policy, and open connections cannot be swept (see `status`)"
        }
        _ => "opened before the policy, which leaves open connections alone, or changed since",
    }
}

/// Whether a connection has the very values that a policy has for it.
fn has(options: &Observed, wanted: &Timers) -> bool {
    let Timers { idle_s, interval_s, probes, user_timeout_ms } = *wanted;
    let is = |option, wanted| options.get(option) == Some(wanted);
    is(SocketOption::Idle, idle_s)
        && is(SocketOption::Interval, interval_s)
        && is(SocketOption::Probes, probes)
        && (user_timeout_ms == 0 || is(SocketOption::UserTimeout, user_timeout_ms))
}

#[cfg(test)]
mod tests;
