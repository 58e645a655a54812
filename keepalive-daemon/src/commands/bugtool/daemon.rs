//! What the daemon says, or, where none answers, what is pinned.

use std::ops::ControlFlow;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Part, Source, json, ndjson};
use crate::{
    api::{self, client},
    commands::status,
    journal::{Event, Kind},
    report::events::Line,
};

pub(super) const PARTS: &[Part] = &[
    Part {
        file: "status.json",
        about: "governed cgroups, their policy and counters; without a daemon as far as the pins tell",
        collect: status,
    },
    Part {
        file: "policies.json",
        about: "the policies in force, and what each governs",
        collect: |source| ask(source, api::POLICIES),
    },
    Part {
        file: "health.json",
        about: "whether the daemon does its job",
        collect: |source| ask(source, api::HEALTH),
    },
    Part {
        file: "events.ndjson",
        about: "what happened, as far back as the daemon remembers",
        collect: events,
    },
];

fn ask(source: &Source, path: &str) -> Result<Vec<u8>> {
    let answer: Value = client::require(&source.socket, path)?;
    json(&answer)
}

fn status(source: &Source) -> Result<Vec<u8>> {
    let mut status = status::ask(&source.socket, &source.bpffs)?.sorted();
    if let Some(error) = status.daemon.as_mut().and_then(|daemon| daemon.policy_error.as_mut()) {
        *error = without_quotes(error);
    }
    json(&status)
}

fn events(source: &Source) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    client::stream(&source.socket, api::EVENTS, |mut line| {
        if let Line::Event(record) = &mut line {
            clear(&mut record.event, source.with_addresses);
        }
        lines.push(line);
        ControlFlow::Continue(())
    })?;
    ndjson(&lines)
}

/// Takes out of an event what is not for everybody.
fn clear(event: &mut Event, with_addresses: bool) {
    if !with_addresses {
        event.remote = None;
    }
    if event.kind == Kind::PoliciesRefused
        && let Some(reason) = &mut event.reason
    {
        *reason = without_quotes(reason);
    }
}

/// What a daemon runs as, if one answers.
pub(super) fn pid(source: &Source) -> Result<u32> {
    let status = status::ask(&source.socket, &source.bpffs)?;
    Ok(status.daemon.context("no daemon answers")?.pid)
}

/// A mistake in a policy file without what it quotes: a file that is no policy may have got into the directory, and
/// with it what nobody else is to read.
fn without_quotes(text: &str) -> String {
    text.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "`\u{2026}`" }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_event_the_other_end_is_told_only_if_it_was_asked_for() {
        let dead = Event { remote: Some("10.0.0.9:5432".to_owned()), ..Event::new(Kind::DeadPeer) };
        let reason = Some("a.yaml:3:1: `hunter2` is none".to_owned());
        let mut events = [dead.clone(), dead, Event { reason, ..Event::new(Kind::PoliciesRefused) }];

        for (event, with_addresses) in events.iter_mut().zip([false, true, true]) {
            clear(event, with_addresses);
        }

        let [without, with, refused] = events;
        assert_eq!((without.remote, with.remote.as_deref()), (None, Some("10.0.0.9:5432")));
        assert_eq!(refused.reason.as_deref(), Some("a.yaml:3:1: `…` is none"));
    }

    #[test]
    fn what_a_mistake_quotes_is_left_out() {
        assert_eq!(
            without_quotes("a.yaml:3:1: `hunter2` is none; write `x`"),
            "a.yaml:3:1: `…` is none; write `…`"
        );
        assert_eq!(without_quotes("none"), "none");
        assert_eq!(without_quotes("an open `hunter2"), "an open `…`");
    }
}
