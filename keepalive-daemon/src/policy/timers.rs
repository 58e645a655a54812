//! The values a policy or a command line asks for, checked against what the kernel takes.

use std::{error, fmt, str::FromStr, time::Duration};

use keepalive_ebpf::Timers;

use super::KernelOptions;
use super::diagnostic::Fault;
use super::duration::{parse_duration, show};

/// Silence before the first probe where a policy names none.
///
/// AWS's NAT gateway and network load balancer forget a silent flow after 350 s, Azure's load balancer after
/// 240 s, GCP's firewall after 600 s. An answered probe every 60 s crosses the shortest of them four times in
/// its window, so that three in a row may be lost. It costs two segments a minute and idle connection.
pub const DEFAULT_IDLE: Duration = Duration::from_secs(60);

/// Time between unanswered probes where a policy names none: long enough to sit out a failover or a link
/// that flaps, short enough to find a dead peer within [`DEFAULT_IDLE`] of the first loss.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// Unanswered probes that end a connection where a policy names none. A dead peer is found after
/// 60 s + 4 × 15 s = 120 s of silence.
pub const DEFAULT_PROBES: u32 = 4;

/// The kernel's limit on `TCP_KEEPIDLE` and `TCP_KEEPINTVL`, in seconds (`MAX_TCP_KEEPIDLE`).
const MAX_SECONDS: u32 = 32_767;
/// The kernel's limit on `TCP_KEEPCNT` (`MAX_TCP_KEEPCNT`).
const MAX_PROBES: u32 = 127;
/// `TCP_USER_TIMEOUT` is an `int` of milliseconds: 24 days.
pub(super) const MAX_USER_TIMEOUT_MS: u32 = i32::MAX.unsigned_abs();

/// What the operator of a host allows, stricter than the kernel, and what its kernel can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The shortest `idle` a policy may ask for, so that nobody floods a network: every idle connection
    /// sends a probe that often. Counts in whole seconds, rounded up, and from 1 s to 32767 s.
    pub min_idle: Duration,
    /// What its kernel lets a program set.
    pub kernel: KernelOptions,
}

impl Default for Limits {
    /// Five seconds: no middlebox known forgets a TCP flow sooner than in 30 s, and a node of 10000 idle
    /// connections then sends at most 2000 probes a second.
    fn default() -> Self {
        Self::new(Duration::from_secs(5))
    }
}

impl Limits {
    /// With this floor on `idle`, for any kernel.
    #[must_use]
    pub const fn new(min_idle: Duration) -> Self {
        Self { min_idle, kernel: KernelOptions::ANY }
    }

    fn min_idle_s(&self) -> u32 {
        let rounded_up = self.min_idle.as_secs().saturating_add(u64::from(self.min_idle.subsec_nanos() > 0));
        u32::try_from(rounded_up).unwrap_or(MAX_SECONDS).clamp(1, MAX_SECONDS)
    }
}

/// When to give up on data, or probes, that nobody acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserTimeout {
    /// When keep-alive gives up: idle + interval × probes.
    Auto,
    /// After this long.
    After(Duration),
}

impl FromStr for UserTimeout {
    type Err = Fault;

    /// `auto`, or a duration as [`parse_duration`] reads it.
    fn from_str(text: &str) -> Result<Self, Fault> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        parse_duration(text).map(Self::After).map_err(|mut fault| {
            fault.help.push_str(", or `auto` for idle + interval × probes");
            fault
        })
    }
}

/// Timers as asked for; what is absent takes its default, but for the user timeout, which then stays as the
/// application set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerSpec {
    /// Silence before the first probe.
    pub idle: Option<Duration>,
    /// Time between unanswered probes.
    pub interval: Option<Duration>,
    /// Unanswered probes that end the connection.
    pub probes: Option<i64>,
    /// When to give up on unacknowledged data.
    pub user_timeout: Option<UserTimeout>,
}

/// Which value a mistake is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerField {
    /// [`TimerSpec::idle`]
    Idle,
    /// [`TimerSpec::interval`]
    Interval,
    /// [`TimerSpec::probes`]
    Probes,
    /// [`TimerSpec::user_timeout`]
    UserTimeout,
}

/// A value that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// Which.
    pub field: TimerField,
    /// Why, and what could be.
    pub fault: Fault,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.field {
            TimerField::Idle => "idle",
            TimerField::Interval => "interval",
            TimerField::Probes => "probes",
            TimerField::UserTimeout => "user timeout",
        };
        write!(f, "{name}: {}", self.fault)
    }
}

impl error::Error for OutOfRange {}

impl TimerSpec {
    /// The same, with the values of `base` where it has none.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            idle: self.idle.or(base.idle),
            interval: self.interval.or(base.interval),
            probes: self.probes.or(base.probes),
            user_timeout: self.user_timeout.or(base.user_timeout),
        }
    }

    /// The timers in the kernel's units.
    ///
    /// # Errors
    ///
    /// Every value that the kernel or `limits` would refuse.
    pub fn resolve(&self, limits: &Limits) -> Result<Timers, Vec<OutOfRange>> {
        let default_idle = DEFAULT_IDLE.max(Duration::from_secs(limits.min_idle_s().into()));
        let idle = idle(self.idle.unwrap_or(default_idle), limits);
        let interval = interval(self.interval.unwrap_or(DEFAULT_INTERVAL));
        let probes = probes(self.probes.unwrap_or(DEFAULT_PROBES.into()));
        let user_timeout = match (self.user_timeout, &idle, &interval, &probes) {
            (None, ..) => Ok(0),
            (Some(UserTimeout::After(after)), ..) => user_timeout(after),
            (Some(UserTimeout::Auto), &Ok(idle), &Ok(interval), &Ok(probes)) => auto(idle, interval, probes),
            // What `auto` is made of is wrong already: to say so once is enough.
            (Some(UserTimeout::Auto), ..) => Ok(0),
        };
        let of = |field| move |fault| vec![OutOfRange { field, fault }];
        let results = [
            idle.map_err(of(TimerField::Idle)),
            interval.map_err(of(TimerField::Interval)),
            probes.map_err(of(TimerField::Probes)),
            user_timeout.map_err(of(TimerField::UserTimeout)),
        ];
        match results {
            [Ok(idle_s), Ok(interval_s), Ok(probes), Ok(user_timeout_ms)] => {
                Ok(Timers { idle_s, interval_s, probes, user_timeout_ms })
            }
            results => Err(results.into_iter().filter_map(Result::err).flatten().collect()),
        }
    }
}

/// `given` in seconds, if the kernel and `limits` allow it as silence before the first probe.
pub(super) fn idle(given: Duration, limits: &Limits) -> Result<u32, Fault> {
    match limits.min_idle_s() {
        1 => seconds(given, 1, "the kernel takes"),
        floor => seconds(given, floor, "this daemon (--min-idle) and the kernel take"),
    }
}

/// `given` in seconds, if the kernel takes it as the time between probes.
pub(super) fn interval(given: Duration) -> Result<u32, Fault> {
    seconds(given, 1, "the kernel takes")
}

fn seconds(given: Duration, floor: u32, who: &str) -> Result<u32, Fault> {
    let shown = show(given);
    let range = format!("{who} {floor}s to {MAX_SECONDS}s");
    if given.subsec_nanos() != 0 {
        return Err(Fault::new(format!("{shown} is not a whole number of seconds"), range));
    }
    match u32::try_from(given.as_secs()) {
        Ok(seconds) if (floor..=MAX_SECONDS).contains(&seconds) => Ok(seconds),
        _ => Err(Fault::new(format!("{shown} is out of range"), range)),
    }
}

/// `given`, if the kernel takes it as a number of probes.
pub(super) fn probes(given: i64) -> Result<u32, Fault> {
    match u32::try_from(given) {
        Ok(probes) if (1..=MAX_PROBES).contains(&probes) => Ok(probes),
        _ => {
            Err(Fault::new(format!("{given} is out of range"), format!("the kernel takes 1 to {MAX_PROBES}")))
        }
    }
}

/// `given` in milliseconds, if the kernel takes it as the user timeout.
pub(super) fn user_timeout(given: Duration) -> Result<u32, Fault> {
    let shown = show(given);
    if given.is_zero() {
        return Err(Fault::new(
            format!("{shown} is no timeout"),
            "leave it out and sockets keep their own user timeout, or write `auto`, or a duration such as `90s`",
        ));
    }
    if !given.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(Fault::new(
            format!("{shown} is not a whole number of milliseconds"),
            format!("the kernel takes 1ms to {MAX_USER_TIMEOUT_MS}ms"),
        ));
    }
    match u32::try_from(given.as_millis()) {
        Ok(ms) if ms <= MAX_USER_TIMEOUT_MS => Ok(ms),
        _ => Err(too_long(&shown)),
    }
}

/// When keep-alive gives up, in milliseconds, if the kernel takes it as the user timeout.
pub(super) fn auto(idle_s: u32, interval_s: u32, probes: u32) -> Result<u32, Fault> {
    let total = u64::from(idle_s) + u64::from(interval_s) * u64::from(probes);
    match u32::try_from(total * 1000) {
        Ok(ms) if ms <= MAX_USER_TIMEOUT_MS => Ok(ms),
        _ => Err(too_long(&format!("idle + interval × probes = {total}s"))),
    }
}

fn too_long(shown: &str) -> Fault {
    Fault::new(
        format!("{shown} is out of range"),
        format!("the kernel takes 1ms to {MAX_USER_TIMEOUT_MS}ms (24 days)"),
    )
}

#[cfg(test)]
mod tests;
