//! The records that are held: pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::{Event, Kind};

/// How many records are held of each sort, of half a kilobyte or so each: with a thousand governed cgroups, changes of
/// each twice over. In two halves, so that busy connections do not push out what was done.
const HELD: usize = 2048;

/// How many sorts of events are watched for their like; of more, each is recorded.
const MOST_WATCHED: usize = 4096;

/// How long the like of a change is summed up.
const WINDOW: Duration = Duration::from_secs(5);

/// How long the like of what came of connections is: one record a minute and cgroup lets half an hour of sixty busy
/// cgroups be held.
const WINDOW_OF_CONNECTIONS: Duration = Duration::from_secs(60);

/// An event as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Its number; the first of a daemon is 1.
    pub(crate) sequence: u64,
    /// When it was recorded, as RFC 3339.
    #[schema(format = DateTime)]
    pub(crate) time: String,
    /// How often it happened: what happens again within moments is recorded once.
    pub(crate) times: u64,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// What a reader gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// How many records were dropped before, and among, these that the reader had not seen.
    pub(crate) missed: u64,
    pub(crate) records: Vec<Arc<Record>>,
}

/// The moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) clock: Instant,
    pub(super) time: SystemTime,
}

/// What makes two events alike.
type Sort = (Kind, [Option<String>; 7]);

fn sort(event: &Event) -> Sort {
    let Event { kind, cgroup, pod, policy, annotation, option, why, reason, .. } = event;
    (*kind, [cgroup, pod, policy, annotation, option, why, reason].map(Clone::clone))
}

/// A sort of which something was recorded a moment ago.
#[derive(Debug)]
struct Watched {
    until: Instant,
    /// What happened of it since, summed up, and how often; apart, as of most nothing does.
    since: Option<Box<(Event, u64)>>,
}

/// The records.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// The number of the last one.
    last: u64,
    changes: VecDeque<Arc<Record>>,
    of_connections: VecDeque<Arc<Record>>,
    watched: HashMap<Sort, Watched>,
    /// When the first of what is watched is due.
    due: Option<Instant>,
}

impl Ring {
    /// The number of the last record; 0 if there was none.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Records an event, or, if the like of it was recorded a moment ago, adds it to what will be.
    pub(super) fn push(&mut self, event: Event, now: Now) {
        self.settle(now);
        let sort = sort(&event);
        if let Some(watched) = self.watched.get_mut(&sort) {
            match &mut watched.since {
                Some(since) => {
                    since.0.absorb(event);
                    since.1 += 1;
                }
                since => *since = Some(Box::new((event, 1))),
            }
            return;
        }
        if self.watched.len() < MOST_WATCHED {
            let until = now.clock + window(event.kind);
            self.watched.insert(sort, Watched { until, since: None });
            self.due = Some(self.due.map_or(until, |due| due.min(until)));
        }
        self.record(event, 1, now.time);
    }

    /// Records what was summed up for long enough.
    pub(super) fn settle(&mut self, now: Now) {
        if self.due.is_none_or(|due| now.clock < due) {
            return;
        }
        let mut sums = Vec::new();
        self.watched.retain(|_, watched| {
            if now.clock < watched.until {
                return true;
            }
            let Some(since) = watched.since.take() else { return false };
            watched.until = now.clock + window(since.0.kind);
            sums.push(*since);
            true
        });
        // A thousand cgroups that are governed at once are watched for moments.
        self.watched.shrink_to(2 * self.watched.len());
        self.due = self.watched.values().map(|watched| watched.until).min();
        for (event, times) in sums {
            self.record(event, times, now.time);
        }
    }

    /// The first records after number `since`, so many at most.
    pub(super) fn read(&self, since: u64, most: usize) -> Batch {
        let after = |records: &VecDeque<Arc<Record>>| records.partition_point(|it| it.sequence <= since);
        let mut changes = self.changes.range(after(&self.changes)..).peekable();
        let mut of_connections = self.of_connections.range(after(&self.of_connections)..).peekable();
        let mut records: Vec<Arc<Record>> = Vec::new();
        while records.len() < most {
            let next = match (changes.peek(), of_connections.peek()) {
                (Some(one), Some(other)) if one.sequence > other.sequence => of_connections.next(),
                (Some(_), _) => changes.next(),
                (None, _) => of_connections.next(),
            };
            let Some(next) = next else { break };
            records.push(Arc::clone(next));
        }
        // Numbers without a record are of records that were dropped.
        let seen = records.last().map_or(self.last, |last| last.sequence);
        let missed = seen.saturating_sub(since).saturating_sub(records.len() as u64);
        Batch { missed, records }
    }

    fn record(&mut self, event: Event, times: u64, time: SystemTime) {
        self.last += 1;
        let records =
            if event.kind.is_of_connections() { &mut self.of_connections } else { &mut self.changes };
        if records.len() == HELD {
            records.pop_front();
        }
        let time = humantime::format_rfc3339_millis(time).to_string();
        records.push_back(Arc::new(Record { sequence: self.last, time, times, event }));
    }
}

const fn window(kind: Kind) -> Duration {
    if kind.is_of_connections() { WINDOW_OF_CONNECTIONS } else { WINDOW }
}

#[cfg(test)]
mod tests;
