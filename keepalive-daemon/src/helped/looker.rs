//! The thread that looks at connections. It waits for applications that hold a socket's lock.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing::debug;

use super::{
    Shared,
    books::Tally,
    tracker::{Moment, Seen, Tracker},
};
use crate::{
    kernel::sockets::{self, Listed, TimerKind},
    leisure::give_way,
    privileges::{Duty, keep},
};

/// How often connections are looked at if a silence is that of a usual middlebox. What is used again and closed between
/// two looks is not counted as used, so they are not far apart; and 100,000 connections, at a microsecond or two each, do
/// not take more than half a hundredth of a processor.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Looker {
    shared: Arc<Shared>,
    interval: Duration,
    tracker: Tracker,
    start: Instant,
}

impl Looker {
    pub(super) fn new(shared: Arc<Shared>, silent_after: Duration) -> Self {
        let silent_ms = u32::try_from(silent_after.as_millis()).unwrap_or(u32::MAX);
        let interval = (silent_after / 4).clamp(Duration::from_secs(1), INTERVAL);
        Self { shared, interval, tracker: Tracker::new(silent_ms), start: Instant::now() }
    }

    /// Looks from time to time for as long as the process lives.
    pub(super) fn run(mut self) {
        keep(Duty::Connections);
        give_way();
        self.shared.wait();
        loop {
            self.look();
            thread::sleep(self.interval);
        }
    }

    /// Looks at all connections once.
    fn look(&mut self) {
        // A copy: looking takes longer than anybody may wait for the books.
        let governed = Arc::clone(&self.shared.books().governed);
        let governors = &governed.governors;
        if governors.is_empty() {
            return;
        }
        let (start, tracker) = (self.start, &mut self.tracker);
        let now = || i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
        let from = now();
        let mut tallies: BTreeMap<u64, Tally> = BTreeMap::new();
        let listed = sockets::list(&mut |_, listed| {
            if let Some((governor, seen)) = followed(listed, governors) {
                let gain = tracker.look(&seen, Moment { from, to: now() });
                tallies.entry(governor).or_default().gain(gain);
            }
            ControlFlow::Continue(())
        });
        let left_out = tracker.end();
        let mut books = self.shared.books();
        books.add(&tallies);
        books.watch.left_out = left_out;
        books.watch.unreachable = match listed {
            Ok(seen) => seen.unreachable.iter().map(|(name, why)| format!("{name}: {why}")).collect(),
            Err(error) => vec![format!("{error:#}")],
        };
        debug!(milliseconds = now() - from, governed = tallies.len(), "looked for connections kept alive");
    }
}

/// A connection whose silence counts, and the id of the cgroup that governs it.
fn followed(listed: &Listed, governors: &BTreeMap<u64, u64>) -> Option<(u64, Seen)> {
    // After one end was closed, what comes is the end.
    if ![sockets::TCP_ESTABLISHED, sockets::TCP_CLOSE_WAIT].contains(&listed.state) {
        return None;
    }
    let governor = *governors.get(&listed.cgroup?)?;
    let times = listed.times?;
    let seen = Seen {
        cookie: listed.cookie,
        sent_ms: times.last_data_sent_ms,
        received_ms: times.last_data_received_ms,
        acknowledged_ms: times.last_ack_received_ms,
        is_probed: listed.timer.is_some_and(|timer| timer.kind == TimerKind::Keepalive),
    };
    Some((governor, seen))
}
