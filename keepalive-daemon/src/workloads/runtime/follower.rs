//! The task that follows the runtime.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep},
};
use tracing::debug;

use super::{
    RuntimeState, Trouble,
    connection::{Connection, Failure},
    questions::Questions,
    sandboxes::Sandboxes,
    session::{End, Session},
    sockets::Sockets,
};
use crate::journal::{Event, Journal, Kind};

/// How long to wait before connecting again: at first, and at most. A runtime that is restarted is back in a second.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// The same if somebody asks meanwhile.
const RECONNECT_ASKED: Duration = Duration::from_millis(100);

/// What is known of the runtime from one connection to the next.
pub(super) struct Follower {
    sockets: Sockets,
    pub(super) questions: Questions,
    pub(super) sandboxes: Sandboxes,
    known: watch::Sender<RuntimeState>,
    /// Whether somebody was told that it is away.
    is_told: bool,
    reconnect: Duration,
    journal: Journal,
}

impl Follower {
    pub(super) fn new(
        sockets: Sockets,
        questions: Questions,
        known: watch::Sender<RuntimeState>,
        journal: Journal,
    ) -> Self {
        let (sandboxes, reconnect) = (Sandboxes::default(), RECONNECT.0);
        Self { sockets, questions, sandboxes, known, is_told: false, reconnect, journal }
    }

    /// Follows the runtime, whichever comes and goes, for as long as it is let.
    pub(super) async fn run(mut self) {
        loop {
            let trouble = match self.connect().await {
                Ok((socket, connection)) => {
                    let end = Session::new(&mut self, socket.clone(), connection).follow().await;
                    self.sandboxes.interrupt(Instant::now().into_std());
                    match end {
                        End::Away(why) => {
                            format!("{}: {why} (--cri-socket names another)", socket.display())
                        }
                        End::Elsewhere(socket) => {
                            self.sockets.settle(&socket);
                            continue;
                        }
                    }
                }
                Err(trouble) => trouble,
            };
            self.is_away(trouble);
            let pause = self.reconnect;
            self.reconnect = (pause * 2).min(RECONNECT.1);
            let asked = async {
                sleep(RECONNECT_ASKED).await;
                self.questions.asked().await;
            };
            select! {
                () = sleep(pause) => {}
                () = asked => {}
            }
        }
    }

    /// Connects to the first runtime that answers.
    async fn connect(&self) -> Result<(PathBuf, Connection), String> {
        let mut failures = Vec::new();
        for path in self.sockets.paths() {
            match Connection::open(path).await {
                Ok(connection) => return Ok((path.clone(), connection)),
                Err(failure) => failures.push((path, failure)),
            }
        }
        if self.sockets.is_given() {
            let all =
                failures.iter().map(|(path, failure)| format!("{}: {}", path.display(), failure.message));
            return Err(format!("{} (--cri-socket names another)", all.collect::<Vec<_>>().join("; ")));
        }
        Err(none_of(&failures))
    }

    /// Where else there may be pods than on this socket.
    pub(super) fn others(&self, socket: &Path) -> Vec<PathBuf> {
        self.sockets.others(socket)
    }

    /// What is known of the runtime, as everybody has it.
    pub(super) fn known(&self) -> watch::Ref<'_, RuntimeState> {
        self.known.borrow()
    }

    /// The runtime gave an answer of use, of pods or that there are none.
    pub(super) fn answers(&mut self, socket: &Path, name: &str, has_pods: bool) {
        self.reconnect = RECONNECT.0;
        if has_pods {
            self.sockets.settle(socket);
        }
        let was_known = self.known().socket.as_deref() == Some(socket);
        let is_other = self.known.send_if_modified(|known| {
            let is_other = known.socket.as_deref() != Some(socket)
                || known.name.as_deref() != Some(name)
                || known.trouble.is_some();
            known.socket = Some(socket.to_owned());
            known.name = Some(name.to_owned());
            known.trouble = None;
            is_other
        });
        if !is_other {
            return;
        }
        self.is_told = false;
        let kind = if was_known { Kind::RuntimeBack } else { Kind::RuntimeFound };
        let runtime = Some(format!("{name} on {}", socket.display()));
        self.journal.push(Event { runtime, ..Event::new(kind) });
    }

    /// Tells everybody of the pods, if they are others than before.
    pub(super) fn publish(&self) {
        let pods = self.sandboxes.pods();
        self.known.send_if_modified(|known| {
            let is_other = known.pods.as_deref() != Some(&pods);
            if is_other {
                known.pods = Some(Arc::new(pods));
            }
            is_other
        });
    }

    fn is_away(&mut self, message: String) {
        let is_missed = self.sockets.is_given() || self.questions.are_open() || self.known().name.is_some();
        if is_missed && !self.is_told {
            self.is_told = true;
            let reason = Some(message.clone());
            self.journal.push(Event { reason, ..Event::new(Kind::RuntimeAway) });
        } else {
            debug!(why = message, "the container runtime does not answer");
        }
        self.known.send_if_modified(|known| {
            let since = known.trouble.as_ref().map_or_else(SystemTime::now, |trouble| trouble.since);
            let trouble = Some(Trouble { since, message });
            let is_other = known.trouble != trouble;
            known.trouble = trouble;
            is_other
        });
    }
}

/// What to say where no place that is known has a runtime that answers.
fn none_of(failures: &[(&PathBuf, Failure)]) -> String {
    let paths: Vec<String> = failures.iter().map(|(path, _)| path.display().to_string()).collect();
    let others = failures.iter().filter(|(_, failure)| !failure.is_missing);
    let others: Vec<String> =
        others.map(|(path, failure)| format!("; {}: {}", path.display(), failure.message)).collect();
    format!(
        "no container runtime answers on any of {}{}; name its socket with --cri-socket, or say `none` where there \
         are no pods",
        paths.join(", "),
        others.concat()
    )
}
