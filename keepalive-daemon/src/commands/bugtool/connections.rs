//! The connections: how many of each kind, and, if somebody asked for it, one by one.

use std::{collections::BTreeMap, ops::ControlFlow};

use anyhow::Result;
use serde::Serialize;

use super::{Part, Source, json, ndjson};
use crate::{
    answers::SocketQuery,
    api::client,
    report::sockets::{SocketLine, SocketRow, SocketSummary, Verdict},
};

pub(super) const PARTS: &[Part] = &[
    Part {
        file: "sockets.json",
        about: "how many connections of each kind there are, of governed cgroups and of others",
        collect: counts,
    },
    Part {
        file: "connections.ndjson",
        about: "the connections one by one, with the addresses of both ends",
        collect: one_by_one,
    },
];

/// The most that are told one by one: some 60 MB.
const MOST_CONNECTIONS: u64 = 100_000;

/// What connections are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sort {
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<String>,
    state: String,
    verdict: Verdict,
    why: String,
    /// The timer that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    timer: Option<String>,
}

#[derive(Debug, Serialize)]
struct Count {
    #[serde(flatten)]
    sort: Sort,
    connections: u64,
}

#[derive(Debug, Serialize)]
struct Counts {
    counts: Vec<Count>,
    summary: SocketSummary,
}

impl From<SocketRow> for Sort {
    fn from(row: SocketRow) -> Self {
        let SocketRow { pod, cgroup, policy, direction, state, verdict, why, timer, .. } = row;
        Self { pod, cgroup, policy, direction, state, verdict, why, timer: timer.map(|timer| timer.kind) }
    }
}

fn counts(source: &Source) -> Result<Vec<u8>> {
    let mut counts: BTreeMap<Sort, u64> = BTreeMap::new();
    let summary = each(source, None, |row| {
        *counts.entry(row.into()).or_default() += 1;
    })?;
    let counts = counts.into_iter().map(|(sort, connections)| Count { sort, connections });
    json(&Counts { counts: counts.collect(), summary })
}

fn one_by_one(source: &Source) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    let summary =
        each(source, Some(MOST_CONNECTIONS), |row| lines.push(SocketLine::Connection(Box::new(row))))?;
    lines.push(SocketLine::Summary { summary });
    ndjson(&lines)
}

/// Tells of each connection of the node.
fn each(source: &Source, limit: Option<u64>, mut told: impl FnMut(SocketRow)) -> Result<SocketSummary> {
    let query = SocketQuery { all: true, limit, ..SocketQuery::default() };
    client::connections(&source.socket, &query, |row| {
        told(row);
        ControlFlow::Continue(())
    })
}
