//! Why something is done, for the log.

use crate::reconcile::Action;

/// What set a reconcile off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The daemon started.
    Start,
    /// A cgroup was made or removed.
    Cgroups,
    /// The runtime told of other pods.
    Pods,
    /// The policies changed.
    Policies,
    /// Everything was read from scratch.
    Resync,
}

impl Cause {
    /// Why it led to an action, for the log.
    pub(super) const fn why(self, action: &Action) -> &'static str {
        match (self, action) {
            (_, Action::Replace(_)) => "it ran another program than this daemon's",
            (_, Action::Guard(_)) => "its policy enforces",
            (_, Action::Unguard(_)) => "its policy no longer enforces",
            (Self::Start, _) => "the daemon started",
            (Self::Cgroups, Action::Attach(_)) => "the cgroup appeared",
            (Self::Cgroups, Action::Detach(_)) => "the cgroup is gone",
            (Self::Cgroups, Action::Write(_)) => "the cgroups above it changed",
            (Self::Pods, Action::Attach(_)) => "the pod appeared",
            (Self::Pods, _) => "the pods changed",
            (Self::Policies, _) => "the policies changed",
            (Self::Resync, _) => "the kernel was found to differ from what should be",
        }
    }

    /// Why it led to a sweep of open connections, for the log.
    pub(crate) const fn why_sweep(self) -> &'static str {
        match self {
            Self::Start => "the daemon started",
            Self::Cgroups => "the cgroups changed",
            Self::Pods => "the pods changed",
            Self::Policies => "the policies changed",
            Self::Resync => "it was still to be done",
        }
    }
}
