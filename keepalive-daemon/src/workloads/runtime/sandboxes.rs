//! What the runtime told of its sandboxes; pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use tonic::{Code, Status};

use crate::{
    cri::{PodSandbox, PodSandboxState, PodSandboxStatus, PodSandboxStatusResponse},
    workloads::{Pod, pods},
};

/// How long to wait before a status that was not told is asked for again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// The sandboxes that are listed, by their id.
#[derive(Default)]
pub(crate) struct Sandboxes(BTreeMap<String, Entry>);

enum Entry {
    /// For as long as there is the sandbox: nothing of it changes. With the time it was told of.
    Told(Arc<Pod>, Instant),
    Untold(Box<Untold>),
}

impl Entry {
    fn uid(&self) -> &str {
        match self {
            Self::Told(pod, _) => &pod.facts.uid,
            Self::Untold(untold) => uid(&untold.listed),
        }
    }
}

struct Untold {
    listed: PodSandbox,
    failures: u32,
    /// When to ask for the status; `None` while it is asked for.
    at: Option<Instant>,
    /// What can be said of the pod; absent if there was no answer yet.
    pod: Option<Arc<Pod>>,
}

impl Sandboxes {
    /// Takes the list of the running sandboxes, with when it was asked for; returns those whose status is to be asked
    /// for.
    pub(crate) fn list(&mut self, listed: Vec<PodSandbox>, asked: Instant, now: Instant) -> Vec<String> {
        let mut before = std::mem::take(&mut self.0);
        let mut to_ask = Vec::new();
        for listed in newest(listed) {
            let id = listed.id.clone();
            // What is listed as another pod's is another sandbox, whatever its id.
            let known = before.remove(&id).filter(|entry| entry.uid() == uid(&listed));
            let mut entry = known.unwrap_or_else(|| {
                Entry::Untold(Box::new(Untold { listed, failures: 0, at: Some(now), pod: None }))
            });
            if let Entry::Untold(untold) = &mut entry
                && untold.at.is_some_and(|at| at <= now)
            {
                untold.at = None;
                to_ask.push(id.clone());
            }
            self.0.insert(id, entry);
        }
        // What was told of meanwhile is no part of the list yet.
        for (id, entry) in before {
            if let Entry::Told(pod, told) = entry
                && told > asked
            {
                self.insert(id, pod, told);
            }
        }
        to_ask
    }

    /// Takes the status of a sandbox that was not listed yet. True if it is of use: the sandbox runs, and nothing was
    /// known of it.
    pub(crate) fn discover(&mut self, status: &PodSandboxStatusResponse, now: Instant) -> bool {
        let Some(PodSandboxStatus {
            id,
            metadata,
            state,
            created_at,
            labels,
            annotations,
            runtime_handler,
            ..
        }) = status.status.clone()
        else {
            return false;
        };
        if state != i32::from(PodSandboxState::SandboxReady)
            || matches!(self.0.get(&id), Some(Entry::Told(..)))
        {
            return false;
        }
        let listed =
            PodSandbox { id: id.clone(), metadata, state, created_at, labels, annotations, runtime_handler };
        self.insert(id, Arc::new(pods::read(&listed, Ok(status))), now);
        true
    }

    /// Puts in a sandbox that was told of, in the place of another of the same pod, which is ending.
    fn insert(&mut self, id: String, pod: Arc<Pod>, told: Instant) {
        let uid = pod.facts.uid.clone();
        self.0.retain(|_, entry| uid.is_empty() || entry.uid() != uid);
        self.0.insert(id, Entry::Told(pod, told));
    }

    /// Takes the status of a sandbox, or what the runtime answered instead. True if the list is out of date: the
    /// sandbox is gone.
    pub(crate) fn tell(
        &mut self,
        id: &str,
        status: Result<PodSandboxStatusResponse, Status>,
        now: Instant,
    ) -> bool {
        // One that is no longer listed does not count.
        let Some(entry) = self.0.get_mut(id) else { return false };
        let Entry::Untold(untold) = entry else { return false };
        match status {
            Ok(status) => {
                *entry = Entry::Told(Arc::new(pods::read(&untold.listed, Ok(&status))), now);
                false
            }
            Err(status) => {
                let wait = RETRY.0.saturating_mul(1 << untold.failures.min(16)).min(RETRY.1);
                untold.failures += 1;
                untold.at = Some(now + wait);
                // That is what is said of one that has just ended; if it is listed again it has not.
                let is_gone = status.code() == Code::NotFound && untold.failures == 1;
                if !is_gone {
                    untold.pod =
                        Some(Arc::new(pods::read(&untold.listed, Err(super::connection::shown(&status)))));
                }
                is_gone
            }
        }
    }

    /// Whether a status is being asked for that was never answered.
    pub(super) fn are_awaited(&self) -> bool {
        self.0.values().any(|entry| matches!(entry, Entry::Untold(it) if it.at.is_none() && it.pod.is_none()))
    }

    /// Those whose status is awaited are pods all the same, of which more is not known yet.
    pub(crate) fn await_no_longer(&mut self) {
        for entry in self.0.values_mut() {
            if let Entry::Untold(untold) = entry
                && untold.pod.is_none()
            {
                let no_answer = Err("there is no answer yet".to_owned());
                untold.pod = Some(Arc::new(pods::read(&untold.listed, no_answer)));
            }
        }
    }

    /// Nothing is being asked for, as the connection is gone.
    pub(crate) fn interrupt(&mut self, now: Instant) {
        for entry in self.0.values_mut() {
            if let Entry::Untold(untold) = entry {
                untold.at.get_or_insert(now);
            }
        }
    }

    /// The pods that something is known of.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        let pods = self.0.values().filter_map(|entry| match entry {
            Entry::Told(pod, _) => Some(pod),
            Entry::Untold(untold) => untold.pod.as_ref(),
        });
        pods.cloned().collect()
    }
}

/// The uid of its pod; empty if the runtime does not tell.
fn uid(sandbox: &PodSandbox) -> &str {
    sandbox.metadata.as_ref().map_or("", |metadata| &metadata.uid)
}

/// Of the sandboxes of one pod, the newest: the one before it is ending. By the attempt that the kubelet counts, and only
/// where a runtime does not tell that, by the time of day.
fn newest(listed: Vec<PodSandbox>) -> impl Iterator<Item = PodSandbox> {
    let mut newest: HashMap<String, PodSandbox> = HashMap::new();
    for sandbox in listed {
        let uid = uid(&sandbox);
        let key = if uid.is_empty() { sandbox.id.clone() } else { uid.to_owned() };
        let is_newer = |other: &PodSandbox| age(&sandbox) > age(other);
        if newest.get(&key).is_none_or(is_newer) {
            newest.insert(key, sandbox);
        }
    }
    newest.into_values()
}

/// What orders the sandboxes of a pod.
fn age(sandbox: &PodSandbox) -> (u32, i64, &str) {
    let attempt = sandbox.metadata.as_ref().map_or(0, |metadata| metadata.attempt);
    (attempt, sandbox.created_at, &sandbox.id)
}

#[cfg(test)]
mod tests;
