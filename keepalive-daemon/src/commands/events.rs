//! `events`: what happened.

mod since;

use std::ops::ControlFlow;

use anyhow::{Context as _, Result};
use clap::Args;

use super::failure::Verdict;
use crate::{
    api::{self, EventsQuery, client},
    cli::{OutputArg, SocketArg},
    report::{
        self,
        events::{Events, Line},
    },
};
use since::Since;

/// Show what the daemon did, why, and what came of it.
///
/// Changes of the system one by one, what became of connections summed up for each cgroup. The daemon holds some
/// thousand events in memory, and tells how many of those that were asked for it no longer has.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Go on with what happens, until interrupted; as JSON, each event is a line.
    #[arg(short, long)]
    follow: bool,
    /// Only events after the one of this number, after this time (2026-01-31T12:00:00Z), or of this long (10m). Numbers
    /// begin anew with each daemon, times do not.
    #[arg(long, value_name = "NUMBER|TIME|DURATION")]
    since: Option<Since>,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Asks the daemon and prints what it tells.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { follow, since, socket, output } = options;
    let number = since.and_then(Since::number);
    let mut filter = since.map(Since::filter).unwrap_or_default();
    let query = EventsQuery { since: number, follow: follow.then_some(true) };
    let query = serde_urlencoded::to_string(query).context("cannot write the question")?;
    let path = format!("{}?{query}", api::EVENTS);
    if !follow {
        let mut events = Events::default();
        client::stream(&socket.api_socket, &path, |line| {
            filter.pass(line).into_iter().for_each(|line| events.add(line));
            ControlFlow::Continue(())
        })?;
        report::print(&events, output.output)?;
        return Ok(Verdict::Good);
    }
    let mut printed = Ok(());
    client::follow(&socket.api_socket, &path, |line: Line| {
        printed = filter.pass(line).into_iter().try_for_each(|line| report::print_item(&line, output.output));
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    printed.map(|()| Verdict::Good)
}
