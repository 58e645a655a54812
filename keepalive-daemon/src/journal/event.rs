//! Something that happened.

use serde::{Deserialize, Serialize};
use tracing::Level;
use utoipa::ToSchema;

use super::counts::Counts;

/// Something that happened. What does not apply is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    /// The path of the cgroup, `/` for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// The pod, as `NAMESPACE/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// The directory of the policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<String>,
    /// How many policies are in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policies: Option<usize>,
    /// The annotation of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotation: Option<String>,
    /// The socket option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) option: Option<String>,
    /// The other end of the connection; absent if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote: Option<String>,
    /// For how long no data went over the connection that ended; of several the longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) silent_seconds: Option<u64>,
    /// How connections were swept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// How many network namespaces were looked through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespaces: Option<usize>,
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub(crate) counts: Counts,
    /// What the kernel said when it refused something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// What set it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Whether the log told of the like before: nobody is to be warned of it again.
    #[serde(skip)]
    pub(crate) is_known: bool,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    /// A cgroup is governed from now on.
    Attached,
    /// Another policy is in force in a cgroup.
    PolicyChanged,
    /// This daemon's program runs in a cgroup, in place of an earlier one's.
    ProgramReplaced,
    /// What applications of a cgroup set later is guarded from now on.
    Guarded,
    /// It is no longer.
    Unguarded,
    /// A cgroup is no longer governed.
    Detached,
    /// A cgroup should be governed and cannot be.
    CannotGovern,
    /// A cgroup should be guarded and cannot be.
    CannotGuard,
    /// Connections were established in a governed cgroup.
    Applied,
    /// The kernel refused an option of connections.
    OptionRefused,
    /// Later calls of applications were rewritten.
    Rewritten,
    /// Connections that were open already were changed.
    Swept,
    /// They cannot be.
    CannotSweep,
    /// A connection was closed because its peer was found dead.
    DeadPeer,
    /// The policies were read.
    PoliciesRead,
    /// They cannot be used; the last good ones stay in force.
    PoliciesRefused,
    /// No policy can reach a pod.
    PodUnreachable,
    /// An annotation of a pod is not followed.
    AnnotationRefused,
}

impl Event {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            cgroup: None,
            pod: None,
            policy: None,
            directory: None,
            policies: None,
            annotation: None,
            option: None,
            remote: None,
            silent_seconds: None,
            method: None,
            namespaces: None,
            counts: Counts::NONE,
            error: None,
            why: None,
            reason: None,
            is_known: false,
        }
    }

    /// The same, and what set it off.
    pub(crate) fn because(self, why: &str) -> Self {
        Self { why: Some(why.to_owned()), ..self }
    }

    /// What happened, for people; with the reason where that makes the sentence.
    pub(crate) fn message(&self) -> String {
        let text = self.kind.text();
        match (self.kind, &self.reason) {
            (Kind::PoliciesRefused, Some(reason)) => {
                let kept = match self.policies {
                    Some(_) => "the last good ones stay",
                    None => "what is pinned stays",
                };
                // Each mistake has a line of its own.
                format!("{text}, {kept} in force:\n{reason}")
            }
            (kind, Some(reason)) if kind.ends_with_reason() => format!("{text}: {reason}"),
            _ => text.to_owned(),
        }
    }

    /// Whether the message has the reason.
    pub(crate) const fn tells_reason(&self) -> bool {
        self.kind.ends_with_reason()
    }

    /// Writes the log line.
    pub(super) fn log(&self) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    cgroup = self.cgroup,
                    pod = self.pod,
                    policy = self.policy,
                    policies = self.policies.filter(|_| self.reason.is_none()),
                    directory = self.directory,
                    annotation = self.annotation,
                    option = self.option,
                    remote = self.remote,
                    silent_seconds = self.silent_seconds,
                    connections = self.counts.connections,
                    armed = self.counts.armed,
                    tightened = self.counts.tightened,
                    overridden = self.counts.overridden,
                    left_alone = self.counts.left_alone,
                    would_change = self.counts.would_change,
                    refused = self.counts.refused,
                    rewritten = self.counts.rewritten,
                    error = self.error,
                    examined = self.counts.examined,
                    namespaces = self.namespaces,
                    method = self.method,
                    reason = self.reason.as_deref().filter(|_| !self.kind.ends_with_reason()),
                    why = self.why,
                    "{}",
                    self.message()
                )
            };
        }
        match self.kind.level() {
            _ if self.is_known => line!(debug),
            Level::ERROR => line!(error),
            Level::WARN => line!(warn),
            Level::INFO => line!(info),
            Level::DEBUG => line!(debug),
            _ => line!(trace),
        }
    }

    /// Adds the like of this one. What they do not share is left out.
    pub(super) fn absorb(&mut self, other: Self) {
        self.counts += other.counts;
        let Self { remote, silent_seconds, error, method, namespaces, policies, .. } = other;
        self.silent_seconds = self.silent_seconds.max(silent_seconds);
        self.remote = self.remote.take().filter(|one| remote.as_ref() == Some(one));
        (self.error, self.method) = (error.or(self.error.take()), method);
        (self.namespaces, self.policies) = (namespaces, policies);
    }
}

impl Kind {
    /// What happened, in the words of the log.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::PolicyChanged => "changed the policy",
            Self::ProgramReplaced => "replaced the program",
            Self::Guarded => "guards what applications set later",
            Self::Unguarded => "no longer guards what applications set later",
            Self::Detached => "detached",
            Self::CannotGovern => "cannot govern the cgroup",
            Self::CannotGuard => {
                "Enforce does not hold here: connections get its values, and what applications set later is not guarded"
            }
            Self::Applied => "applied to new connections",
            Self::OptionRefused => "the kernel refused an option of connections",
            Self::Rewritten => "rewrote later calls of applications",
            Self::Swept => "swept open connections",
            Self::CannotSweep => "cannot sweep open connections, only new ones are governed",
            Self::DeadPeer => "found a peer dead",
            Self::PoliciesRead => "read the policies",
            Self::PoliciesRefused => "cannot use the policies",
            Self::PodUnreachable => "no policy can reach the pod",
            Self::AnnotationRefused => "an annotation is not followed",
        }
    }

    const fn level(self) -> Level {
        match self {
            Self::CannotGovern | Self::CannotGuard | Self::PoliciesRefused => Level::ERROR,
            Self::OptionRefused | Self::CannotSweep | Self::PodUnreachable | Self::AnnotationRefused => {
                Level::WARN
            }
            Self::Attached
            | Self::PolicyChanged
            | Self::ProgramReplaced
            | Self::Guarded
            | Self::Unguarded
            | Self::Detached
            | Self::Swept
            | Self::PoliciesRead => Level::INFO,
            // Changes of connections, summed up: applications do that all the time.
            Self::Applied | Self::Rewritten => Level::DEBUG,
            // One a connection.
            Self::DeadPeer => Level::TRACE,
        }
    }

    /// Whether it is about connections, of which there are many more than there are changes.
    pub(crate) const fn is_of_connections(self) -> bool {
        matches!(self, Self::Applied | Self::OptionRefused | Self::Rewritten | Self::DeadPeer)
    }

    /// Whether the reason makes the sentence. What pods may write stays apart, where it is escaped.
    const fn ends_with_reason(self) -> bool {
        matches!(self, Self::CannotGovern | Self::CannotGuard | Self::CannotSweep | Self::PoliciesRefused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_events_do_not_share_is_left_out_and_what_they_count_is_added() {
        let one = |remote: &str| Event {
            remote: Some(remote.to_owned()),
            counts: Counts { connections: Some(2), armed: Some(1), ..Counts::NONE },
            ..Event::new(Kind::Applied)
        };
        let mut sum = one("10.0.0.1:1");

        sum.absorb(one("10.0.0.1:1"));
        assert_eq!(sum.remote.as_deref(), Some("10.0.0.1:1"));
        sum.absorb(one("10.0.0.2:1"));

        assert_eq!(sum.remote, None);
        assert_eq!(sum.counts.named().collect::<Vec<_>>(), [("connections", 6), ("armed", 3)]);
    }

    #[test]
    fn a_reason_ends_the_sentence_unless_a_pod_may_have_written_it() {
        let with_reason = |kind| Event { reason: Some("no".to_owned()), ..Event::new(kind) }.message();

        assert_eq!(with_reason(Kind::CannotGovern), "cannot govern the cgroup: no");
        assert_eq!(
            with_reason(Kind::PoliciesRefused),
            "cannot use the policies, what is pinned stays in force:\nno"
        );
        assert_eq!(with_reason(Kind::AnnotationRefused), "an annotation is not followed");
    }
}
