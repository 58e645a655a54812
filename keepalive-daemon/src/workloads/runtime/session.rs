//! What is asked on one connection, and when.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{Notify, Semaphore},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tonic::Status;

use super::{
    connection::{Client, Connection, shown},
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

/// How long what is known of the pods is held back at first, until the status of each is told: what an earlier run
/// attached to them would be detached in between.
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
    /// When the pods are told of, whether or not all are known; absent until the first list.
    complete_by: Option<Instant>,
}

/// What the runtime answered.
enum Answer {
    List(Result<Vec<PodSandbox>, Status>),
    Status(String, Result<PodSandboxStatusResponse, Status>),
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
            complete_by: None,
        }
    }

    /// Follows the runtime until it no longer answers; returns why.
    pub(super) async fn follow(mut self) -> String {
        let happened = Arc::new(Notify::new());
        let mut subscription = JoinSet::new();
        if events::are_broadcast(&self.connection.version) {
            subscription.spawn(events::follow(self.connection.client.clone(), Arc::clone(&happened)));
        }
        loop {
            select! {
                () = self.connection.ended() => return "it closed the connection".to_owned(),
                Some(answer) = self.calls.join_next() => if let Err(why) = self.take(answer) {
                    return why;
                },
                () = self.follower.questions.asked() => self.due = Instant::now(),
                // Not at once: while hundreds of pods begin or end, events would keep the runtime busy with lists.
                () = happened.notified() => self.due = self.due.min(Instant::now() + self.took),
                () = sleep_until(self.due), if self.listing.is_none() => self.list(),
                () = sleep_until(self.complete_by.unwrap_or(self.due)), if self.is_incomplete() => {
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

    /// Takes an answer, and those that are there already: pods that begin together are told of together.
    fn take(&mut self, answer: Result<Answer, JoinError>) -> Result<(), String> {
        let mut next = Some(answer);
        while let Some(answer) = next {
            match answer.map_err(|error| error.to_string())? {
                Answer::List(list) => self.listed(list.map_err(|status| shown(&status))?),
                Answer::Status(sandbox, status) => {
                    if self.follower.sandboxes.tell(&sandbox, status, Instant::now().into_std()) {
                        self.due = Instant::now();
                    }
                }
            }
            next = self.calls.try_join_next();
        }
        if !self.is_incomplete() || !self.follower.sandboxes.are_awaited() {
            self.follower.publish();
        }
        Ok(())
    }

    fn listed(&mut self, sandboxes: Vec<PodSandbox>) {
        let now = Instant::now();
        self.took = self.listing.take().map_or(Duration::ZERO, |since| now - since);
        self.due = self.due.min(now + self.follower.questions.pause(self.took));
        self.complete_by.get_or_insert(now + COMPLETE);
        self.follower.answers(&self.socket, &self.connection.version.to_string());
        for sandbox in self.follower.sandboxes.list(sandboxes, now.into_std()) {
            let (client, slots) = (self.connection.client.clone(), Arc::clone(&self.slots));
            self.calls.spawn(status(client, slots, sandbox));
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
    Answer::Status(sandbox, status)
}
