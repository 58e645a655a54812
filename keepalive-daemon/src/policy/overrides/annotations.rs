//! The annotations of a pod, and what comes of them.
//!
//! Whoever may create a pod writes them: all that is kept or shown of them is bounded and safe to print.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use keepalive_ebpf::Timers;

use super::Within;
use crate::policy::diagnostic::{Fault, did_you_mean, quote, shortened};
use crate::policy::duration::parse_duration;
use crate::policy::{Inherited, Limits, PodFacts, Policy, UserTimeout, timers};

/// What begins the annotations that are for this project.
pub const ANNOTATION_PREFIX: &str = "keepalive.dev/";

const OPT_OUT: &str = "keepalive.dev/opt-out";
const IDLE: &str = "keepalive.dev/idle";
const INTERVAL: &str = "keepalive.dev/interval";
const PROBES: &str = "keepalive.dev/probes";
const USER_TIMEOUT: &str = "keepalive.dev/user-timeout";
/// All annotations that there are.
const KNOWN: [&str; 5] = [OPT_OUT, IDLE, INTERVAL, PROBES, USER_TIMEOUT];

/// The longest value that is read, in bytes; one that means something has less than twenty.
const LONGEST: usize = 64;
/// How many refused annotations of a pod are told one by one: all that have a meaning, and some slips.
const MOST_REFUSED: usize = 10;

/// An annotation that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its key, safe to print.
    pub annotation: String,
    /// Why it is not followed and what would be, safe to print.
    pub reason: String,
}

/// What a policy and the annotations of a pod come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governed {
    /// Whether the pod opted out, as it may.
    pub opted_out: bool,
    /// The values to set.
    pub timers: Timers,
    /// How the user timeout among them is asked for.
    pub user_timeout: Option<UserTimeout>,
    /// The annotations that changed something, as `key: value`.
    pub followed: Vec<String>,
    /// The annotations that are not followed: at most ten, and then one that counts the others.
    pub refused: Vec<Refused>,
}

impl Policy {
    /// What this policy and the annotations of the pod that it governs come to. Each annotation is followed or
    /// refused on its own; where one is refused, the policy's value stays.
    #[must_use]
    pub fn govern(&self, pod: &PodFacts) -> Governed {
        let mut reading = Reading::new(self, &pod.annotations);
        let opted_out = reading.opt_out();
        let timers = Timers {
            idle_s: reading.duration(IDLE, self.overrides.idle, self.timers.idle_s, |given| {
                // The bounds are the operator's limits.
                timers::idle(given, &Limits::new(Duration::ZERO))
            }),
            interval_s: reading.duration(
                INTERVAL,
                self.overrides.interval,
                self.timers.interval_s,
                timers::interval,
            ),
            probes: reading.probes(),
            user_timeout_ms: 0,
        };
        let (user_timeout_ms, user_timeout) = reading.user_timeout(timers);
        let timers = Timers { user_timeout_ms, ..timers };
        reading.unknown();
        let Reading { mut followed, refused, uncounted, .. } = reading;
        if opted_out {
            // The values it asks for are those of no socket.
            followed.truncate(1);
        }
        Governed { opted_out, timers, user_timeout, followed, refused: told(refused, uncounted) }
    }
}

impl Governed {
    /// The values that rules for destinations inherit.
    #[must_use]
    pub const fn inherited(&self) -> Inherited {
        Inherited { timers: self.timers, user_timeout: self.user_timeout }
    }

    /// The annotations that are not followed although they may be, if `policy` governs the pod as part of a cgroup
    /// above: its values there are those of all that is in it.
    pub(crate) fn unshared(&self, policy: &Policy) -> Vec<Refused> {
        let keys = self.followed.iter().filter_map(|followed| followed.split_once(": "));
        let refused = keys.map(|(key, _)| Refused {
            annotation: key.to_owned(),
            reason: format!(
                "policy {} governs a cgroup above that of the pod, with the same values for all in it (have it \
                 select the pod itself)",
                quote(&policy.id.to_string())
            ),
        });
        refused.collect()
    }
}

/// The annotations of a pod while they are read.
struct Reading<'a> {
    policy: &'a Policy,
    annotations: &'a BTreeMap<String, String>,
    followed: Vec<String>,
    refused: Vec<Refused>,
    /// How many more were refused.
    uncounted: usize,
}

impl<'a> Reading<'a> {
    fn new(policy: &'a Policy, annotations: &'a BTreeMap<String, String>) -> Self {
        Self { policy, annotations, followed: Vec::new(), refused: Vec::new(), uncounted: 0 }
    }

    fn opt_out(&mut self) -> bool {
        let Some(text) = self.annotations.get(OPT_OUT).map(String::as_str) else { return false };
        match text {
            "false" => {}
            "true" if self.policy.overrides.opt_out => {
                self.follow(OPT_OUT, text);
                return true;
            }
            "true" => {
                let policy = self.policy_name();
                self.refuse(OPT_OUT, format!("{policy} lets no pod opt out (`podOverrides.optOut: false`)"));
            }
            _ => {
                let slip = did_you_mean(text, &["true", "false"]);
                self.refuse(
                    OPT_OUT,
                    format!("{} is neither (write `\"true\"` or `\"false\"`{slip})", quote(text)),
                );
            }
        }
        false
    }

    /// The seconds that the annotation `key` asks for, or those of the policy.
    fn duration(
        &mut self,
        key: &'static str,
        bounds: Option<Within<Duration>>,
        own: u32,
        check: impl Fn(Duration) -> Result<u32, Fault>,
    ) -> u32 {
        let Some((text, bounds)) = self.allowed(key, bounds) else { return own };
        let seconds = parse_duration(text).and_then(check).map_err(|fault| fault.to_string());
        let seconds = seconds.and_then(|seconds| {
            self.within(bounds, Duration::from_secs(seconds.into()), &quote(text), shown).map(|()| seconds)
        });
        self.settle(key, text, seconds, own)
    }

    fn probes(&mut self) -> u32 {
        let own = self.policy.timers.probes;
        let Some((text, bounds)) = self.allowed(PROBES, self.policy.overrides.probes) else { return own };
        let number = text.trim().parse::<i64>();
        let probes = number.map_err(|_| format!("{} is not a whole number (write `\"4\"`)", quote(text)));
        let probes = probes.and_then(|number| {
            let probes = timers::probes(number).map_err(|fault| fault.to_string())?;
            self.within(bounds, number, &quote(text), |number| number.to_string()).map(|()| probes)
        });
        self.settle(PROBES, text, probes, own)
    }

    /// The user timeout in milliseconds, where the other values are those of `timers`, and how it is asked for.
    fn user_timeout(&mut self, timers: Timers) -> (u32, Option<UserTimeout>) {
        let Timers { idle_s, interval_s, probes, .. } = timers;
        let auto = || timers::auto(idle_s, interval_s, probes);
        let own = match self.policy.spec.user_timeout {
            // Bounds far apart let pods ask for more than the kernel takes: 24 days are as good as that.
            Some(UserTimeout::Auto) => auto().unwrap_or(timers::MAX_USER_TIMEOUT_MS),
            _ => self.policy.timers.user_timeout_ms,
        };
        let own_way = self.policy.spec.user_timeout;
        let bounds = self.policy.overrides.user_timeout;
        let Some((text, bounds)) = self.allowed(USER_TIMEOUT, bounds) else { return (own, own_way) };
        let asked = text.trim().parse::<UserTimeout>().and_then(|asked| {
            let of = |ms| Duration::from_millis(u64::from(ms));
            match asked {
                UserTimeout::Auto => {
                    auto().map(|ms| (ms, asked, format!("`auto` comes to {}, which", shown(of(ms)))))
                }
                UserTimeout::After(after) => timers::user_timeout(after).map(|ms| (ms, asked, quote(text))),
            }
        });
        let accepted = asked.map_err(|fault| fault.to_string()).and_then(|(ms, asked, told)| {
            self.within(bounds, Duration::from_millis(ms.into()), &told, shown).map(|()| (ms, asked))
        });
        let way = accepted.as_ref().map_or(own_way, |(_, asked)| Some(*asked));
        (self.settle(USER_TIMEOUT, text, accepted.map(|(ms, _)| ms), own), way)
    }

    /// Refuses what has our prefix and no meaning.
    fn unknown(&mut self) {
        let from = (Bound::Included(ANNOTATION_PREFIX), Bound::Unbounded);
        let ours = self.annotations.range::<str, _>(from);
        let ours = ours.map(|(key, _)| key.as_str()).take_while(|key| key.starts_with(ANNOTATION_PREFIX));
        for key in ours.filter(|key| !KNOWN.contains(key)) {
            if self.refused.len() < MOST_REFUSED {
                let reason = format!(
                    "there is no such annotation (there are {}{})",
                    KNOWN.map(|known| known.trim_start_matches(ANNOTATION_PREFIX)).join(", "),
                    did_you_mean(key, &KNOWN)
                );
                self.refuse(key, reason);
            } else {
                self.uncounted += 1;
            }
        }
    }

    /// The text of the annotation `key` and the bounds on it, if there is one and it may be.
    fn allowed<T>(&mut self, key: &'static str, bounds: Option<Within<T>>) -> Option<(&'a str, Within<T>)> {
        let text = self.annotations.get(key)?;
        let Some(bounds) = bounds else {
            let policy = self.policy_name();
            self.refuse(key, format!("{policy} lets no pod change it (`podOverrides` does not name it)"));
            return None;
        };
        if text.len() > LONGEST {
            let reason = format!(
                "{} is {} bytes long (what it may say has at most {LONGEST})",
                quote(text),
                text.len()
            );
            self.refuse(key, reason);
            return None;
        }
        Some((text, bounds))
    }

    fn within<T: PartialOrd>(
        &self,
        bounds: Within<T>,
        value: T,
        told: &str,
        show: impl Fn(T) -> String,
    ) -> Result<(), String> {
        if bounds.contains(&value) {
            return Ok(());
        }
        let policy = self.policy_name();
        Err(format!("{told} is out of bounds: {policy} allows {} to {}", show(bounds.min), show(bounds.max)))
    }

    /// What holds: `asked`, or the policy's `own` value if that is refused.
    fn settle(&mut self, key: &'static str, text: &str, asked: Result<u32, String>, own: u32) -> u32 {
        match asked {
            Ok(value) => {
                if value != own {
                    self.follow(key, text);
                }
                value
            }
            Err(reason) => {
                self.refuse(key, reason);
                own
            }
        }
    }

    fn policy_name(&self) -> String {
        format!("policy {}", quote(&self.policy.id.to_string()))
    }

    fn follow(&mut self, key: &str, text: &str) {
        self.followed.push(format!("{key}: {}", shortened(text.trim())));
    }

    fn refuse(&mut self, key: &str, reason: String) {
        self.refused.push(Refused { annotation: shortened(key), reason });
    }
}

/// `refused`, and one that counts those it lacks.
fn told(mut refused: Vec<Refused>, uncounted: usize) -> Vec<Refused> {
    if uncounted > 0 {
        let annotation = format!("{ANNOTATION_PREFIX}…");
        refused.push(Refused { annotation, reason: format!("{uncounted} more are not followed") });
    }
    refused
}

/// As the bounds are written, not as the kernel counts.
fn shown(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests;
