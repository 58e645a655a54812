//! The thread that watches.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use keepalive_ebpf::{DeadPeer, Finding};
use tracing::{debug, info};

use super::{
    Shared,
    books::Tally,
    tracker::{Moment, Seen, Tracker},
};
use crate::{
    journal::{Event, Journal, Kind},
    kernel::{
        Closing,
        sockets::{self, Listed, TimerKind},
    },
    leisure::give_way,
    privileges::{Duty, keep},
};

/// How often, at most, what the program has counted is read: peers are found dead together when their machine goes.
const SETTLE: Duration = Duration::from_millis(100);

/// How often connections are looked at if a silence is that of a usual middlebox. What is used again and closed between
/// two looks is not counted as used, so they are not far apart; and 100,000 connections, at a microsecond or two each, do
/// not take more than half a hundredth of a processor.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Watcher {
    shared: Arc<Shared>,
    journal: Journal,
    interval: Duration,
    tracker: Tracker,
    start: Instant,
}

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, silent_after: Duration, journal: Journal) -> Self {
        let silent_ms = u32::try_from(silent_after.as_millis()).unwrap_or(u32::MAX);
        let interval = (silent_after / 4).clamp(Duration::from_secs(1), INTERVAL);
        Self { shared, journal, interval, tracker: Tracker::new(silent_ms), start: Instant::now() }
    }

    /// Watches for as long as the process lives.
    pub(super) fn run(mut self) {
        keep(Duty::Connections);
        give_way();
        self.shared.wait();
        let mut closing = match Closing::load() {
            Ok(closing) => {
                self.shared.books().watch.finds_dead_peers = true;
                debug!("peers that are found dead are counted");
                Some(closing)
            }
            Err(error) => self.without(&error),
        };
        let mut due = Instant::now();
        loop {
            let pause = due.saturating_duration_since(Instant::now());
            if let Some(program) = &mut closing {
                let done = program.wait(pause).and_then(|()| self.harvest(program));
                if let Err(error) = done {
                    closing = self.without(&error);
                }
            } else {
                thread::sleep(pause);
            }
            if Instant::now() >= due {
                self.look();
                due = Instant::now() + self.interval;
            }
        }
    }

    /// Goes on without noticing dead peers.
    fn without(&self, error: &anyhow::Error) -> Option<Closing> {
        let reason = format!("{error:#}");
        info!(reason, "peers that are found dead cannot be counted; nothing else depends on it");
        let mut books = self.shared.books();
        books.watch.finds_dead_peers = false;
        books.watch.trouble = Some(reason);
        None
    }

    /// Takes in what the program has told and counted.
    fn harvest(&self, program: &mut Closing) -> anyhow::Result<()> {
        let found = program.take();
        let has_found = !found.is_empty();
        for dead in &found {
            let event = self.event(dead, program);
            if let Some(event) = event {
                self.journal.push(event);
            }
        }
        let counts = program.counts()?;
        let nobodys = self.shared.books().count(counts);
        for cgroup in nobodys {
            program.forget(cgroup)?;
        }
        if has_found {
            thread::sleep(SETTLE);
        }
        Ok(())
    }

    /// What the journal says of a dead peer; `None` if nobody governs the connection.
    fn event(&self, dead: &DeadPeer, program: &Closing) -> Option<Event> {
        let books = self.shared.books();
        let (_, place) = books.governor(dead.cgroup)?;
        let port = u16::try_from(dead.remote_port).unwrap_or(0);
        let address = IpAddr::from(Ipv6Addr::from(dead.remote)).to_canonical();
        Some(Event {
            cgroup: Some(place.cgroup.clone()),
            pod: place.pod.clone(),
            policy: Some(place.policy.clone()),
            remote: Some(SocketAddr::new(address, port).to_string()),
            silent_seconds: Some(program.time(dead.silent_ticks).as_secs()),
            why: Some(why(dead.finding).to_owned()),
            ..Event::new(Kind::DeadPeer)
        })
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

/// Why a connection was closed. Few sentences, so that the like of it can be summed up.
const fn why(finding: Finding) -> &'static str {
    match finding {
        Finding::Keepalive => "probes were not answered",
        Finding::UserTimeout => "data was not acknowledged for the user timeout",
        Finding::Reset => "a probe was answered with a reset: who answers knows nothing of the connection",
    }
}
