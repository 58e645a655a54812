//! `check`: what connections have, held against what lies on their way and forgets silent ones. Pure: connections and
//! facts of the node in, verdicts and a cure out.
//!
//! ```text
//! catalogue ── chosen ──┐
//!                       ├─► surroundings ── on the way of ──┐
//! facts of the node ────┘                                   ├─► problems ─► groups ─► cure
//! connections ──────────────────────────────────────────────┘
//! ```

mod catalogue;
mod cure;
mod groups;
mod problem;
mod profile;
mod surroundings;

pub(crate) use catalogue::Catalogue;
pub(crate) use cure::{Cure, Governing};
pub(crate) use groups::{End, Group, Groups};
pub(crate) use problem::Problem;
pub(crate) use profile::{Chosen, look_up};
pub(crate) use surroundings::Surroundings;

use serde::Serialize;

/// Something on the way of a connection that forgets it, or ends it, when nothing travels on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Middlebox {
    /// As a sentence about it begins, or goes on.
    pub(crate) name: String,
    pub(crate) idle_timeout_seconds: u32,
    /// Whether probes, which carry no data, count as traffic.
    pub(crate) keep_alive_helps: bool,
    /// What becomes of the connection.
    pub(crate) on_expiry: String,
    /// Where the timeout is known from.
    pub(crate) source: String,
}
