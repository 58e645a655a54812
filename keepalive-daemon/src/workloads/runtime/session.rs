//! What is asked on one connection, and when.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{Notify, Semaphore},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tonic::Status;

use super::{
    connection::{Client, Connection, shown, with_pods},
    events,
    follower::Follower,
    questions::RELIST,
};
use crate::cri::{PodSandbox, PodSandboxStatusResponse};

/// How many sandboxes are asked about at once: a daemon that starts must not be what keeps the runtime busy.
const AT_ONCE: usize = 8;

/// When a status is slow, and no longer counts as one of those: a sandbox whose shim hangs must not keep others
/// waiting.
const SLOW: Duration = Duration::from_millis(250);

/// How long what is known of the pods is held back at first, until the status of each is told. After that the others
/// are told of as pods that are somewhere: what an earlier run attached to them stays.
const COMPLETE: Duration = Duration::from_secs(1);

/// One connection, from its beginning to its end. All that is under way ends with it.
pub(super) struct Session<'f> {
    follower: &'f mut Follower,
    socket: PathBuf,
    connection: Connection,
    calls: JoinSet<Answer>,
    slots: Arc<Semaphore>,
    /// When to ask for the list next.
    due: Instant,
    /// Since when it is asked for.
    listing: Option<Instant>,
    /// How long the last list took.
    took: Duration,
    /// When to ask next about the sandboxes that the questions name.
    named_due: Option<Instant>,
    /// Those that are asked about.
    asked: BTreeSet<String>,
    /// Whether pods are looked for elsewhere.
    is_looking: bool,
    /// When the pods are told of, whether or not all are known; absent until the first list.
    complete_by: Option<Instant>,
}

/// How a connection ended.
pub(super) enum End {
    /// The runtime no longer answers, and why.
    Away(String),
    /// This one has no pods, and the one on this socket has.
    Elsewhere(PathBuf),
}

/// What the runtime answered.
enum Answer {
    List(Result<Vec<PodSandbox>, Status>),
    Status(String, Box<Result<PodSandboxStatusResponse, Status>>),
    Named(String, Box<Result<PodSandboxStatusResponse, Status>>),
    Elsewhere(Option<PathBuf>),
}

impl<'f> Session<'f> {
    pub(super) fn new(follower: &'f mut Follower, socket: PathBuf, connection: Connection) -> Self {
        let now = Instant::now();
        Self {
            follower,
            socket,
            connection,
            calls: JoinSet::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            due: now,
            listing: None,
            took: Duration::ZERO,
            named_due: None,
            asked: BTreeSet::new(),
            is_looking: false,
            complete_by: None,
        }
    }

    /// Follows the runtime until it no longer answers, or pods are found elsewhere.
    pub(super) async fn follow(mut self) -> End {
        let happened = Arc::new(Notify::new());
        let mut subscription = JoinSet::new();
        if events::are_broadcast(&self.connection.version) {
            subscription.spawn(events::follow(self.connection.client.clone(), Arc::clone(&happened)));
        }
        loop {
            select! {
                () = self.connection.ended() => return End::Away("it closed the connection".to_owned()),
                Some(answer) = self.calls.join_next() => if let Err(end) = self.take(answer) {
                    return end;
                },
                () = self.follower.questions.asked() => {
                    self.due = Instant::now();
                    self.ask_named();
                }
                () = sleep_until(self.named_due.unwrap_or(self.due)), if self.named_due.is_some() => {
                    self.ask_named();
                }
                // Not at once: while hundreds of pods begin or end, events would keep the runtime busy with lists.
                () = happened.notified() => self.due = self.due.min(Instant::now() + self.took),
                () = sleep_until(self.due), if self.listing.is_none() => self.list(),
                () = sleep_until(self.complete_by.unwrap_or(self.due)), if self.is_incomplete() => {
                    self.follower.sandboxes.await_no_longer();
                    self.follower.publish();
                }
            }
        }
    }

    fn list(&mut self) {
        self.listing = Some(Instant::now());
        self.due = Instant::now() + RELIST;
        let mut client = self.connection.client.clone();
        self.calls.spawn(async move { Answer::List(client.list().await) });
    }

    /// Asks about the sandboxes that the questions name. Each is known by this before it is listed, by one call whatever
    /// the number of pods: the first container of its pod starts next.
    fn ask_named(&mut self) {
        for sandbox in self.follower.questions.named() {
            if self.asked.insert(sandbox.clone()) {
                let mut client = self.connection.client.clone();
                self.calls.spawn(async move {
                    let status = client.status(sandbox.clone()).await;
                    Answer::Named(sandbox, Box::new(status))
                });
            }
        }
        let pause = self.follower.questions.pause_of_named();
        self.named_due = pause.filter(|_| !self.asked.is_empty()).map(|pause| Instant::now() + pause);
    }

    /// Takes an answer, and those that are there already: pods that begin together are told of together.
    fn take(&mut self, answer: Result<Answer, JoinError>) -> Result<(), End> {
        let mut next = Some(answer);
        while let Some(answer) = next {
            match answer.map_err(|error| End::Away(error.to_string()))? {
                Answer::List(list) => self.listed(list.map_err(|status| End::Away(shown(&status)))?),
                Answer::Status(sandbox, status) => {
                    if self.follower.sandboxes.tell(&sandbox, *status, Instant::now().into_std()) {
                        self.due = Instant::now();
                    }
                }
                Answer::Named(sandbox, status) => {
                    self.asked.remove(&sandbox);
                    // Of one that is not made yet, and of containers, it knows nothing.
                    if let Ok(status) = &*status {
                        self.follower.sandboxes.discover(status, Instant::now().into_std());
                    }
                }
                Answer::Elsewhere(found) => {
                    self.is_looking = false;
                    // This one may have told of pods meanwhile.
                    if let Some(socket) = found.filter(|_| !self.follower.others(&self.socket).is_empty()) {
                        return Err(End::Elsewhere(socket));
                    }
                }
            }
            next = self.calls.try_join_next();
        }
        // Before the first list, what is known is but a part.
        let is_listed = self.complete_by.is_some();
        let is_awaited = self.is_looking || self.follower.sandboxes.are_awaited();
        if is_listed && !(self.is_incomplete() && is_awaited) {
            self.follower.publish();
        }
        Ok(())
    }

    fn listed(&mut self, sandboxes: Vec<PodSandbox>) {
        let now = Instant::now();
        let asked = self.listing.take().unwrap_or(now);
        self.took = now - asked;
        self.due = self.due.min(now + self.follower.questions.pause(self.took));
        self.complete_by.get_or_insert(now + COMPLETE);
        let has_pods = !sandboxes.is_empty();
        self.follower.answers(&self.socket, &self.connection.version.to_string(), has_pods);
        if !has_pods {
            self.look_elsewhere();
        }
        for sandbox in self.follower.sandboxes.list(sandboxes, asked.into_std(), now.into_std()) {
            let (client, slots) = (self.connection.client.clone(), Arc::clone(&self.slots));
            self.calls.spawn(status(client, slots, sandbox));
        }
    }

    /// Looks for pods on the other sockets, if there are any.
    fn look_elsewhere(&mut self) {
        let others = self.follower.others(&self.socket);
        if !self.is_looking && !others.is_empty() {
            self.is_looking = true;
            self.calls.spawn(async move { Answer::Elsewhere(with_pods(others).await) });
        }
    }

    /// Whether somebody waits for the first word of the pods.
    fn is_incomplete(&self) -> bool {
        self.complete_by.is_some() && self.follower.known().pods.is_none()
    }
}

/// Asks for the status of a sandbox when it is its turn.
async fn status(mut client: Client, slots: Arc<Semaphore>, sandbox: String) -> Answer {
    // Never closed: a call without its turn would be one too many, no more.
    let turn = slots.acquire_owned().await.ok();
    let mut call = Box::pin(client.status(sandbox.clone()));
    let status = match timeout(SLOW, &mut call).await {
        Ok(status) => status,
        Err(_) => {
            drop(turn);
            call.await
        }
    };
    Answer::Status(sandbox, Box::new(status))
}
