//! What happened, line by line.
#![expect(unused_qualifications, reason = "the macro for paths repeats the paths of types")]

use std::convert::Infallible;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::Query,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use super::{EVENTS, MOST_STREAMS, Problem, Refusal, Streams};
use crate::{
    journal::{Batch, Journal, Record},
    report::events::Line,
};

/// How many events are written in one go: a hundred kilobytes, while the client takes them.
const SLICE: usize = 256;

/// Which events.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// Only those after the one of this number; by default all that are still held. Numbers begin anew with each daemon:
    /// one that it has not reached is answered with a line that says so, and with all that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<u64>,
    /// Whether to go on with what happens, until the client goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) follow: Option<bool>,
}

/// What was done, and what came of it: one line of JSON each.
#[utoipa::path(get, path = EVENTS, params(EventsQuery), responses(
    (status = OK, body = Line, content_type = "application/x-ndjson"),
    (status = TOO_MANY_REQUESTS, body = Problem, description = "Too many listen already."),
))]
pub(super) async fn events(
    Extension(journal): Extension<Journal>,
    Extension(Streams(streams)): Extension<Streams>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Refusal> {
    let permit = streams.try_acquire_owned().map_err(|_| {
        let reason = format!("{MOST_STREAMS} others listen already; try again");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
    })?;
    let follow = query.follow.unwrap_or(false);
    let reader = Reader::new(journal, query.since.unwrap_or(0), follow, permit);
    let lines = stream::unfold(reader, async |mut reader| {
        let lines = reader.next().await?;
        Some((Ok::<_, Infallible>(lines), reader))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Somebody who listens.
struct Reader {
    journal: Journal,
    changed: watch::Receiver<u64>,
    /// The number of the last event that was told.
    since: u64,
    /// A number that there was none of, which is yet to be told.
    not_reached: Option<u64>,
    follow: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    fn new(journal: Journal, since: u64, follow: bool, permit: OwnedSemaphorePermit) -> Self {
        let changed = journal.watch();
        let is_reached = since <= *changed.borrow();
        let (since, not_reached) = if is_reached { (since, None) } else { (0, Some(since)) };
        Self { journal, changed, since, not_reached, follow, _permit: permit }
    }

    /// The next lines; `None` after the last.
    async fn next(&mut self) -> Option<Bytes> {
        // At once: nothing may happen for hours.
        if let Some(not_reached) = self.not_reached.take() {
            return Some(written([Line::NotReached { not_reached }]));
        }
        loop {
            // Before it is read: what is recorded meanwhile is waited for in vain otherwise.
            self.changed.borrow_and_update();
            let batch = self.journal.read(self.since, SLICE);
            if let Some(last) = batch.records.last() {
                self.since = last.sequence;
                return Some(lines(&batch));
            }
            if !self.follow || self.changed.changed().await.is_err() {
                return None;
            }
        }
    }
}

fn lines(batch: &Batch) -> Bytes {
    let missed = (batch.missed > 0).then_some(Line::Missed { missed: batch.missed });
    let records = batch.records.iter().map(|record| Line::Event(Box::new(Record::clone(record))));
    written(missed.into_iter().chain(records))
}

fn written(them: impl IntoIterator<Item = Line>) -> Bytes {
    let mut lines = Vec::new();
    for line in them {
        // Into memory, and of a type without maps, it cannot fail.
        if serde_json::to_writer(&mut lines, &line).is_ok() {
            lines.push(b'\n');
        }
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Event, Kind};

    fn told(lines: &Bytes) -> Vec<serde_json::Value> {
        let text = String::from_utf8_lossy(lines);
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[tokio::test]
    async fn whoever_follows_is_told_what_is_held_and_then_what_happens() {
        let journal = Journal::default();
        let event = |cgroup: &str| Event { cgroup: Some(cgroup.to_owned()), ..Event::new(Kind::Attached) };
        let streams = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        let permit = streams.try_acquire_owned().expect("there is one");
        let mut reader = Reader::new(journal.clone(), 0, true, permit);
        journal.push(event("a"));

        let first = reader.next().await.expect("something is held");
        let (second, ()) = tokio::join!(reader.next(), async { journal.push(event("b")) });
        reader.follow = false;

        assert_eq!(told(&first)[0]["cgroup"], "a");
        let second = told(&second.expect("it follows"));
        assert_eq!(
            (second.len(), &second[0]["sequence"], &second[0]["kind"]),
            (1, &2.into(), &"attached".into())
        );
        assert_eq!(reader.next().await, None, "that was all");
    }

    #[tokio::test]
    async fn a_number_of_an_earlier_daemon_is_told_before_all_that_is_held() {
        let journal = Journal::default();
        journal.push(Event::new(Kind::PoliciesRead));
        let streams = std::sync::Arc::new(tokio::sync::Semaphore::new(2));
        for (since, expected) in [(1, None), (2, Some(2))] {
            let permit = streams.clone().try_acquire_owned().expect("there are two");
            let mut reader = Reader::new(journal.clone(), since, false, permit);

            let first = reader.next().await.map(|lines| told(&lines));
            let second = reader.next().await.map(|lines| told(&lines));

            let not_reached = first.as_ref().and_then(|lines| lines[0]["notReached"].as_u64());
            assert_eq!(not_reached, expected, "{first:?}");
            assert_eq!(second.map(|lines| lines[0]["sequence"].as_u64()), expected.map(|_| Some(1)));
        }
    }
}
