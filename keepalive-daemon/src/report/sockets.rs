//! TCP connections, one by one, as the kernel has them.

mod table;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use table::Sockets;

use super::sweep::Values;

/// A TCP connection of the node. What is absent the kernel, or the privileges, do not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketRow {
    /// The kernel's name for it, for as long as the kernel runs.
    pub(crate) cookie: u64,
    /// The pod it belongs to, as `NAMESPACE/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// The path of its cgroup, `/` for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// Where its network namespace was found: what `nsenter --net=` takes.
    pub(crate) network: String,
    /// What tells that from all others that are there at the same time, wherever each was found: `DEVICE:INODE`.
    pub(crate) network_id: String,
    /// A process that holds it; absent also if it is not accepted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<Process>,
    /// `Outbound` or `Inbound`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<String>,
    #[schema(value_type = String, example = "10.0.0.7:41234")]
    pub(crate) local: SocketAddr,
    #[schema(value_type = String, example = "10.0.0.9:5432")]
    pub(crate) remote: SocketAddr,
    /// The state, as `ss` names it: `ESTAB`, `CLOSE-WAIT`, and so on.
    pub(crate) state: String,
    /// Its options.
    pub(crate) options: Values,
    /// The timer that runs; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timer: Option<Timer>,
    /// How long ago it last sent data, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_data_sent_milliseconds: Option<u32>,
    /// How long ago it last received data, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_data_received_milliseconds: Option<u32>,
    /// How long ago the other end last acknowledged something, an answered probe included, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_ack_received_milliseconds: Option<u32>,
    /// The policy that governs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// What came of it.
    pub(crate) verdict: Verdict,
    /// Why, for people.
    pub(crate) why: String,
}

/// A line of the list: a connection or, at the end, what came of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum SocketLine {
    Summary { summary: SocketSummary },
    Connection(Box<SocketRow>),
}

/// What came of a list of connections. A list without it was broken off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketSummary {
    /// The connections that are listed.
    pub(crate) connections: u64,
    /// Of these, those with the values of the policy that governs them.
    pub(crate) policy: u64,
    /// Those with values of the application's own.
    pub(crate) application: u64,
    /// Those whose keep-alive is off.
    pub(crate) off: u64,
    /// Those whose options cannot be read.
    pub(crate) unknown: u64,
    /// Whether there are more than were asked for.
    pub(crate) left_off: bool,
    /// By what options were read: `iterator` or `descriptors`.
    pub(crate) method: String,
    /// The network namespaces that were looked through.
    pub(crate) namespaces: usize,
    /// Those that were not, each with why.
    pub(crate) unreachable: Vec<String>,
    /// What else could not be told, each with why.
    pub(crate) missing: Vec<String>,
}

impl SocketSummary {
    /// Counts a connection that is listed.
    pub(crate) fn count(&mut self, verdict: Verdict) {
        self.connections += 1;
        *match verdict {
            Verdict::Policy => &mut self.policy,
            Verdict::Application => &mut self.application,
            Verdict::Off => &mut self.off,
            Verdict::Unknown => &mut self.unknown,
        } += 1;
    }
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Its command's name, of 15 bytes at most.
    pub(crate) name: String,
}

/// A timer of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timer {
    /// As `ss` names it: `keepalive`, `on` (retransmission), `persist`, `timewait`.
    pub(crate) kind: String,
    /// When it expires, in milliseconds from now.
    pub(crate) expires_milliseconds: u32,
    /// Probes, or segments, that were sent without an answer.
    pub(crate) unanswered: u32,
}

/// Whether keep-alive watches over a connection, and who made it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verdict {
    /// Keep-alive is on with the values of the policy that governs.
    Policy,
    /// Keep-alive is on with values that are the application's own, in whole or in part.
    Application,
    /// Keep-alive is off.
    Off,
    /// The options cannot be read.
    Unknown,
}
