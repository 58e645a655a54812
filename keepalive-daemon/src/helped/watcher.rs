//! The thread that counts dead peers. It waits for nobody, so that it goes on where the one that [looks](super::looker)
//! cannot.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};

use keepalive_ebpf::{DeadPeer, Finding};
use tracing::{debug, info};

use super::Shared;
use crate::{
    allocator::give_back,
    journal::{Event, Journal, Kind},
    kernel::Closing,
    leisure::give_way,
    privileges::{Duty, keep},
};

/// How long there may be no dead peer before what was counted is read all the same: what could not be told is.
const LULL: Duration = Duration::from_secs(60);

/// How often, at most, what the program has counted is read: peers are found dead together when their machine goes.
const SETTLE: Duration = Duration::from_millis(100);

pub(super) struct Watcher {
    shared: Arc<Shared>,
    journal: Journal,
}

impl Watcher {
    pub(super) const fn new(shared: Arc<Shared>, journal: Journal) -> Self {
        Self { shared, journal }
    }

    /// Watches for as long as the process lives, or the kernel lets it.
    pub(super) fn run(self) {
        keep(Duty::Connections);
        give_way();
        self.shared.wait();
        let loaded = Closing::load();
        give_back();
        let error = match loaded {
            Ok(closing) => {
                self.shared.books().watch.finds_dead_peers = true;
                debug!("peers that are found dead are counted");
                self.count(closing)
            }
            Err(error) => error,
        };
        let reason = format!("{error:#}");
        {
            let mut books = self.shared.books();
            books.watch.finds_dead_peers = false;
            books.watch.trouble = Some(reason.clone());
        }
        // Whoever reads it can ask for it by now.
        info!(reason, "peers that are found dead cannot be counted; nothing else depends on it");
    }

    /// Counts until that fails; returns why.
    fn count(&self, mut program: Closing) -> anyhow::Error {
        loop {
            let done = program.wait(LULL).and_then(|()| self.harvest(&mut program));
            if let Err(error) = done {
                return error;
            }
        }
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
}

/// Why a connection was closed. Few sentences, so that the like of it can be summed up.
const fn why(finding: Finding) -> &'static str {
    match finding {
        Finding::Keepalive => "probes were not answered",
        Finding::UserTimeout => "data was not acknowledged for the user timeout",
        Finding::Reset => "a probe was answered with a reset: who answers knows nothing of the connection",
    }
}
