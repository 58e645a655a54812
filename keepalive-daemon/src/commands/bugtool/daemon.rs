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
        *error = without_contents(error);
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
        *reason = without_contents(reason);
    }
}

/// What a daemon runs as, if one answers.
pub(super) fn pid(source: &Source) -> Result<u32> {
    let status = status::ask(&source.socket, &source.bpffs)?;
    Ok(status.daemon.context("no daemon answers")?.pid)
}

/// Mistakes in policy files, by their places: a file that is no policy may have got into the directory, and with it what
/// nobody else is to read. The names of its fields say as much as their values may.
fn without_contents(text: &str) -> String {
    // What follows a mistake is its cure, which names the field again.
    let mistakes = text.lines().filter(|line| !line.starts_with(' '));
    let told = mistakes.map(|line| match place(line) {
        Some(place) => format!("{place} \u{2026}"),
        None => without_quotes(line),
    });
    told.collect::<Vec<_>>().join("\n")
}

/// The beginning of a line that is about a place in a file: `a.yaml:3:1:`.
fn place(line: &str) -> Option<&str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut colons = line.match_indices(':').map(|(at, _)| at);
    let (mut before, mut last) = (colons.next()?, colons.next()?);
    for colon in colons {
        if is_number(&line[before + 1..last]) && is_number(&line[last + 1..colon]) {
            return line.get(..=colon);
        }
        (before, last) = (last, colon);
    }
    None
}

/// What is about a file as a whole, without what it quotes.
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
        assert_eq!(refused.reason.as_deref(), Some("a.yaml:3:1: …"));
    }

    #[test]
    fn of_a_mistake_its_place_is_told_and_nothing_of_what_is_there() {
        let mistakes = "/etc/p.d/a.yaml:3:1: hunter2.hunter3: `hunter4` is none\n  help: write `hunter2`\n\
                        /etc/p.d/b.yaml:10:22: hunter5:1:2: no\nc.yaml: it has no `hunter6`\ncannot read the directory";

        assert_eq!(
            without_contents(mistakes),
            "/etc/p.d/a.yaml:3:1: …\n/etc/p.d/b.yaml:10:22: …\nc.yaml: it has no `…`\ncannot read the directory"
        );
        assert_eq!(without_contents("an open `hunter2"), "an open `…`");
    }
}
