//! What a pod may change of the policy that governs it.

use std::time::Duration;

mod annotations;

pub use annotations::{ANNOTATION_PREFIX, Governed, Refused};

/// A range, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within<T> {
    /// The least that may be asked for.
    pub min: T,
    /// The most that may be asked for.
    pub max: T,
}

impl<T: PartialOrd> Within<T> {
    /// Whether `value` is in the range.
    pub(super) fn contains(&self, value: &T) -> bool {
        (&self.min..=&self.max).contains(&value)
    }
}

/// `spec.podOverrides`: what annotations of a pod may change. What is absent may not be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrides {
    /// Whether a pod may opt out; it may unless told otherwise.
    pub opt_out: bool,
    /// Bounds on `keepalive.dev/idle`.
    pub idle: Option<Within<Duration>>,
    /// Bounds on `keepalive.dev/interval`.
    pub interval: Option<Within<Duration>>,
    /// Bounds on `keepalive.dev/probes`.
    pub probes: Option<Within<i64>>,
    /// Bounds on `keepalive.dev/user-timeout`, also where that says `auto`.
    pub user_timeout: Option<Within<Duration>>,
}

impl Default for Overrides {
    fn default() -> Self {
        Self { opt_out: true, idle: None, interval: None, probes: None, user_timeout: None }
    }
}
