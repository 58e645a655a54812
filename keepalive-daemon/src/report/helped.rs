//! What keep-alive was good for, as `status` tells it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of the connections of a governed cgroup since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Help {
    /// The connections that were closed because their peer was found dead; absent if that cannot be noticed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead_peers: Option<DeadPeerCounts>,
    /// How often a connection was silent for longer than a middlebox remembers, and was there at the end of that because
    /// its probes were answered all along.
    pub(crate) kept_alive: u64,
    /// How often one of these carried data again.
    pub(crate) used_again: u64,
    /// The longest silence that a connection survived: data came over it afterwards, or a probe was answered.
    pub(crate) longest_silence_seconds: u64,
}

/// Peers that were found dead, by what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadPeerCounts {
    /// Probes were not answered.
    pub(crate) keepalive: u64,
    /// Data was not acknowledged for the user timeout.
    pub(crate) user_timeout: u64,
    /// A probe was answered with a reset.
    pub(crate) reset: u64,
}

/// How that is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Watch {
    /// Whether it is at all.
    pub(crate) is_on: bool,
    /// How long a connection must have been silent to count as kept alive.
    pub(crate) silent_after_seconds: u64,
    /// Whether dead peers are noticed; not before something is governed.
    pub(crate) finds_dead_peers: bool,
    /// Why they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// The network namespaces whose connections are not watched for silence, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreachable: Vec<String>,
    /// The connections that are not watched for silence, because there are too many.
    #[serde(default)]
    pub(crate) left_out: usize,
    /// Dead peers that were noticed in more cgroups than can be counted for at a time.
    #[serde(default)]
    pub(crate) uncounted: u64,
    /// Dead peers that were counted and of which no event tells: there were too many at a time.
    #[serde(default)]
    pub(crate) untold: u64,
}

impl Help {
    /// In a few words.
    pub(crate) fn text(&self) -> String {
        let dead = self.dead_peers.map_or(0, |dead| dead.total());
        let mut parts = Vec::new();
        if dead > 0 {
            parts.push(format!("{dead} dead"));
        }
        match (self.kept_alive, self.used_again) {
            (0, _) => {}
            (kept, 0) => parts.push(format!("{kept} kept")),
            (kept, used) => parts.push(format!("{kept} kept ({used} used)")),
        }
        if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
    }
}

impl DeadPeerCounts {
    /// By whatever.
    pub(crate) const fn total(&self) -> u64 {
        self.keepalive + self.user_timeout + self.reset
    }
}

impl Watch {
    /// A line, or several; empty if there is nothing that somebody should know.
    pub(crate) fn for_people(&self) -> String {
        let mut text = String::new();
        if let Some(trouble) = &self.trouble {
            let _ = writeln!(text, "peers that are found dead cannot be counted: {trouble}");
        }
        if self.left_out > 0 {
            let _ =
                writeln!(text, "connections that are too many to be watched for silence: {}", self.left_out);
        }
        for (count, what) in [
            (self.uncounted, "dead peers in too many cgroups to be counted"),
            (self.untold, "dead peers that no event tells of"),
        ] {
            if count > 0 {
                let _ = writeln!(text, "{what}: {count}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_happen_is_not_told() {
        let dead_peers = Some(DeadPeerCounts { keepalive: 1, user_timeout: 0, reset: 1 });
        let help = |kept_alive, used_again| Help { kept_alive, used_again, ..Help::default() };

        assert_eq!(help(0, 0).text(), "-");
        assert_eq!(help(5, 0).text(), "5 kept");
        assert_eq!(Help { dead_peers, ..help(5, 3) }.text(), "2 dead, 5 kept (3 used)");
        assert_eq!(Help { dead_peers, ..help(0, 0) }.text(), "2 dead");
        assert_eq!(Watch::default().for_people(), "");
    }

    #[test]
    fn what_is_missing_is_said() {
        let watch =
            Watch { trouble: Some("no right".to_owned()), left_out: 2, untold: 3, ..Watch::default() };

        assert_eq!(
            watch.for_people(),
            "peers that are found dead cannot be counted: no right\n\
             connections that are too many to be watched for silence: 2\n\
             dead peers that no event tells of: 3\n"
        );
    }
}
