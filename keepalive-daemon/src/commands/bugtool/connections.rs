//! The connections: how many of each kind, and, if somebody asked for it, one by one.

use anyhow::{Result, bail};

use super::{Part, Source};

pub(super) const PARTS: &[Part] = &[
    Part { file: "sockets.json", about: "how many connections of each kind", collect: counts },
    Part { file: "connections.ndjson", about: "the connections one by one", collect: one_by_one },
];
fn counts(_: &Source) -> Result<Vec<u8>> { bail!("not yet") }
fn one_by_one(_: &Source) -> Result<Vec<u8>> { bail!("not yet") }
