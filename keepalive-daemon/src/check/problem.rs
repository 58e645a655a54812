//! What is wrong with one connection.

use super::Middlebox;
use crate::report::sweep::Values;

/// How bad something is; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Fine,
    /// Somebody should look: it works as long as nothing is lost, or nobody knows.
    Warning,
    /// It will be forgotten, or ended.
    Bad,
}

/// Something wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Problem<'a> {
    /// Something on the way counts bytes only, so that probes do nothing.
    CannotHelp(&'a Middlebox),
    /// Keep-alive is off, and this forgets the connection, if anything is known to.
    NotArmed(Option<&'a Middlebox>),
    /// The first probe comes when this has forgotten the connection.
    TooSlow { idle_s: u32, forgets: &'a Middlebox },
    /// The first probe comes in time, and if it is lost, no second does.
    Tight { idle_s: u32, forgets: &'a Middlebox },
    /// The user timeout ends the connection before all probes are sent.
    UserTimeout { milliseconds: u32, sent: u32, probes: u32 },
    /// The options cannot be read.
    Unknown,
}

/// What is wrong with a connection that has these options, with these on its way; the worst first. Of all that forgets
/// it, the strictest is the one to name.
pub(crate) fn problems<'a>(
    values: &Values,
    on_the_way: impl Iterator<Item = &'a Middlebox>,
    leaves: bool,
) -> Vec<Problem<'a>> {
    let (helps, bytes_only): (Vec<_>, Vec<_>) = on_the_way.partition(|it| it.keep_alive_helps);
    let strictest = |them: Vec<&'a Middlebox>| them.into_iter().min_by_key(|it| it.idle_timeout_seconds);
    let forgets = strictest(helps);
    let mut problems: Vec<_> = strictest(bytes_only).map(Problem::CannotHelp).into_iter().collect();
    match (values.keepalive, values.idle_seconds) {
        // A peer on the same machine does not vanish without a word.
        (Some(false), _) if forgets.is_none() && !leaves => {}
        (Some(false), _) => problems.push(Problem::NotArmed(forgets)),
        (Some(true), Some(idle_s)) => {
            problems.extend(forgets.and_then(|forgets| slow(idle_s, forgets)));
            problems.extend(impatient(values, idle_s));
        }
        (None, _) | (Some(true), None) => problems.push(Problem::Unknown),
    }
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.level()));
    problems
}

fn slow(idle_s: u32, forgets: &Middlebox) -> Option<Problem<'_>> {
    let timeout = forgets.idle_timeout_seconds;
    if idle_s >= timeout {
        Some(Problem::TooSlow { idle_s, forgets })
    } else if idle_s > timeout / 2 {
        Some(Problem::Tight { idle_s, forgets })
    } else {
        None
    }
}

fn impatient(values: &Values, idle_s: u32) -> Option<Problem<'static>> {
    let milliseconds = values.user_timeout_milliseconds.filter(|it| *it > 0)?;
    let probes = values.probes?;
    let sent = probes_sent(values, idle_s).filter(|sent| *sent < probes)?;
    Some(Problem::UserTimeout { milliseconds, sent, probes })
}

/// How many probes are sent to a peer that does not answer. With a user timeout the kernel does not count them: it gives
/// up at the first timer after one was sent at which so much time has passed since the other end was heard of.
fn probes_sent(values: &Values, idle_s: u32) -> Option<u32> {
    let interval = u64::from(values.interval_seconds?.max(1)) * 1000;
    match values.user_timeout_milliseconds {
        None | Some(0) => values.probes,
        Some(milliseconds) => {
            let after_idle = u64::from(milliseconds).saturating_sub(u64::from(idle_s) * 1000);
            u32::try_from(after_idle.div_ceil(interval).max(1)).ok()
        }
    }
}

/// After how much silence, in seconds, a connection that is armed finds that its peer is gone.
pub(super) fn finds_dead_peer_after(values: &Values) -> Option<u32> {
    let idle_s = values.idle_seconds.filter(|_| values.keepalive == Some(true))?;
    let probing = probes_sent(values, idle_s)?.saturating_mul(values.interval_seconds?);
    Some(idle_s.saturating_add(probing))
}

impl Problem<'_> {
    pub(crate) const fn level(&self) -> Level {
        match self {
            Self::CannotHelp(_) | Self::NotArmed(Some(_)) | Self::TooSlow { .. } => Level::Bad,
            Self::NotArmed(None) | Self::Tight { .. } | Self::UserTimeout { .. } | Self::Unknown => {
                Level::Warning
            }
        }
    }

    /// In one word, for programs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::CannotHelp(_) => "cannotHelp",
            Self::NotArmed(_) => "notArmed",
            Self::TooSlow { .. } => "tooSlow",
            Self::Tight { .. } => "tight",
            Self::UserTimeout { .. } => "userTimeoutTooShort",
            Self::Unknown => "unknown",
        }
    }

    /// What forgets, or ends, the connection.
    pub(crate) const fn cause(&self) -> Option<&Middlebox> {
        match self {
            Self::CannotHelp(it) | Self::NotArmed(Some(it)) => Some(it),
            Self::TooSlow { forgets, .. } | Self::Tight { forgets, .. } => Some(forgets),
            Self::NotArmed(None) | Self::UserTimeout { .. } | Self::Unknown => None,
        }
    }

    /// For people.
    pub(crate) fn why(&self) -> String {
        let after = |it: &Middlebox| format!("{} forgets it after {} s", it.name, it.idle_timeout_seconds);
        match self {
            Self::CannotHelp(Middlebox { name, idle_timeout_seconds, .. }) => format!(
                "keep-alive cannot help: {name} counts bytes only, and ends it {idle_timeout_seconds} s after the last"
            ),
            Self::NotArmed(Some(it)) => format!("keep-alive is off, and {}", after(it)),
            Self::NotArmed(None) => {
                "keep-alive is off: nothing that is known here forgets it, but a peer that \
                                     vanishes is not noticed while it is silent"
                    .to_owned()
            }
            Self::TooSlow { idle_s, forgets } => {
                format!("too slow: the first probe comes after {idle_s} s, and {}", after(forgets))
            }
            Self::Tight { idle_s, forgets } => {
                format!(
                    "tight: the first probe comes after {idle_s} s, which leaves little time for another, and {}",
                    after(forgets)
                )
            }
            Self::UserTimeout { milliseconds, sent, probes } => format!(
                "the user timeout of {milliseconds} ms is shorter than idle + interval \u{d7} probes: an unanswered \
                 connection ends after {sent} of {probes} probes"
            ),
            Self::Unknown => "its options cannot be read".to_owned(),
        }
    }
}

impl Level {
    /// In one word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

#[cfg(test)]
mod tests;
