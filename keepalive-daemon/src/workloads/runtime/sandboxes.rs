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
pub(super) struct Sandboxes(BTreeMap<String, Entry>);

enum Entry {
    /// For as long as there is the sandbox: nothing of it changes. With the time it was told of.
    Told(Arc<Pod>, Instant),
    Untold(Box<Untold>),
}

impl Entry {
    fn uid(&self) -> &str {
        match self {
            Self::Told(pod, _) => &pod.facts.uid,
            Self::Untold(untold) => untold.listed.metadata.as_ref().map_or("", |metadata| &metadata.uid),
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
    pub(super) fn list(&mut self, listed: Vec<PodSandbox>, asked: Instant, now: Instant) -> Vec<String> {
        let mut before = std::mem::take(&mut self.0);
        let mut to_ask = Vec::new();
        for listed in newest(listed) {
            let id = listed.id.clone();
            let mut entry = before.remove(&id).unwrap_or_else(|| {
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
    pub(super) fn discover(&mut self, status: &PodSandboxStatusResponse, now: Instant) -> bool {
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
    pub(super) fn tell(
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
    pub(super) fn await_no_longer(&mut self) {
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
    pub(super) fn interrupt(&mut self, now: Instant) {
        for entry in self.0.values_mut() {
            if let Entry::Untold(untold) = entry {
                untold.at.get_or_insert(now);
            }
        }
    }

    /// The pods that something is known of.
    pub(super) fn pods(&self) -> Vec<Arc<Pod>> {
        let pods = self.0.values().filter_map(|entry| match entry {
            Entry::Told(pod, _) => Some(pod),
            Entry::Untold(untold) => untold.pod.as_ref(),
        });
        pods.cloned().collect()
    }
}

/// Of the sandboxes of one pod, the newest: the one before it is ending.
fn newest(listed: Vec<PodSandbox>) -> impl Iterator<Item = PodSandbox> {
    let mut newest: HashMap<String, PodSandbox> = HashMap::new();
    for sandbox in listed {
        let uid = sandbox.metadata.as_ref().map_or("", |metadata| &metadata.uid);
        let key = if uid.is_empty() { sandbox.id.clone() } else { uid.to_owned() };
        let is_newer = |other: &PodSandbox| (sandbox.created_at, &sandbox.id) > (other.created_at, &other.id);
        if newest.get(&key).is_none_or(is_newer) {
            newest.insert(key, sandbox);
        }
    }
    newest.into_values()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{cri::PodSandboxMetadata, workloads::pods::Place};

    fn sandbox(id: &str, uid: &str, created_at: i64) -> PodSandbox {
        let metadata = PodSandboxMetadata {
            name: id.to_owned(),
            uid: uid.to_owned(),
            namespace: "shop".to_owned(),
            attempt: 0,
        };
        PodSandbox { id: id.to_owned(), metadata: Some(metadata), created_at, ..PodSandbox::default() }
    }

    fn known(sandboxes: &Sandboxes) -> Vec<String> {
        sandboxes.pods().iter().map(|pod| pod.sandbox.clone()).collect()
    }

    #[test]
    fn a_status_is_asked_for_once() {
        let now = Instant::now();
        let mut sandboxes = Sandboxes::default();
        let listed = || vec![sandbox("a", "1", 1), sandbox("b", "2", 1)];

        let first = sandboxes.list(listed(), now, now).into_iter().collect::<BTreeSet<_>>();
        let while_asked = sandboxes.list(listed(), now, now);
        sandboxes.tell("a", Ok(PodSandboxStatusResponse::default()), now);
        let one_told = known(&sandboxes);
        sandboxes.tell("b", Ok(PodSandboxStatusResponse::default()), now);
        let when_told = sandboxes.list(listed(), now + RETRY.1, now + RETRY.1);

        assert_eq!(first, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!((while_asked, when_told), (vec![], vec![]));
        assert_eq!(one_told, ["a"]);
        assert_eq!(known(&sandboxes), ["a", "b"]);
    }

    #[test]
    fn what_is_no_longer_listed_is_forgotten() {
        let now = Instant::now();
        let mut sandboxes = Sandboxes::default();
        sandboxes.list(vec![sandbox("a", "1", 1)], now, now);
        sandboxes.tell("a", Ok(PodSandboxStatusResponse::default()), now);

        sandboxes.list(vec![], now, now);
        let late = sandboxes.tell("a", Ok(PodSandboxStatusResponse::default()), now);

        assert!(!late && known(&sandboxes).is_empty());
    }

    #[test]
    fn a_status_that_fails_is_asked_for_again_and_the_pod_known_meanwhile() {
        let now = Instant::now();
        let mut sandboxes = Sandboxes::default();
        let listed = || vec![sandbox("a", "1", 1)];
        sandboxes.list(listed(), now, now);
        assert!(sandboxes.are_awaited());

        sandboxes.tell("a", Err(Status::internal("busy")), now);

        assert!(!sandboxes.are_awaited());
        assert!(matches!(&sandboxes.pods()[0].place, Place::Untold(answer) if answer.contains("busy")));
        assert!(sandboxes.list(listed(), now, now).is_empty());
        assert_eq!(sandboxes.list(listed(), now + RETRY.0, now + RETRY.0), ["a"]);
        sandboxes.tell("a", Err(Status::internal("busy")), now);
        assert!(sandboxes.list(listed(), now + RETRY.0, now + RETRY.0).is_empty());
        assert_eq!(sandboxes.list(listed(), now + 2 * RETRY.0, now + 2 * RETRY.0), ["a"]);
        sandboxes.tell("a", Ok(PodSandboxStatusResponse::default()), now);
        assert!(matches!(sandboxes.pods()[0].place, Place::Unreachable(_)));
    }

    #[test]
    fn a_sandbox_that_is_not_found_is_gone_unless_it_is_listed_again() {
        let now = Instant::now();
        let mut sandboxes = Sandboxes::default();
        let listed = || vec![sandbox("a", "1", 1)];
        sandboxes.list(listed(), now, now);

        let is_gone = sandboxes.tell("a", Err(Status::not_found("no such sandbox")), now);
        let meanwhile = known(&sandboxes);
        sandboxes.list(listed(), now + RETRY.0, now + RETRY.0);
        let is_gone_again = sandboxes.tell("a", Err(Status::not_found("no such sandbox")), now);

        assert_eq!((is_gone, meanwhile, is_gone_again), (true, vec![], false));
        assert_eq!(known(&sandboxes), ["a"]);
    }

    #[test]
    fn of_the_sandboxes_of_one_pod_the_newest_counts() {
        let now = Instant::now();
        let mut sandboxes = Sandboxes::default();
        let asked = sandboxes.list(vec![sandbox("old", "1", 1), sandbox("new", "1", 2)], now, now);
        assert_eq!(asked, ["new"]);
        let asked = sandboxes.list(vec![sandbox("newer", "1", 3), sandbox("new", "1", 2)], now, now);
        assert_eq!(asked, ["newer"]);
    }

    #[test]
    fn a_sandbox_that_is_told_of_before_it_is_listed_stays() {
        let before = Instant::now();
        let now = before + RETRY.0;
        let mut sandboxes = Sandboxes::default();
        sandboxes.list(vec![sandbox("old", "1", 1)], before, before);
        let status = |id: &str, state: PodSandboxState| PodSandboxStatusResponse {
            status: Some(PodSandboxStatus {
                id: id.to_owned(),
                metadata: sandbox(id, "1", 2).metadata,
                state: state.into(),
                ..PodSandboxStatus::default()
            }),
            ..PodSandboxStatusResponse::default()
        };

        let early = sandboxes.discover(&status("new", PodSandboxState::SandboxNotready), now);
        let told = sandboxes.discover(&status("new", PodSandboxState::SandboxReady), now);
        let again = sandboxes.discover(&status("new", PodSandboxState::SandboxReady), now);
        let discovered = known(&sandboxes);
        let of_list = sandboxes.list(vec![sandbox("old", "1", 1)], before, now);
        let after_old_list = known(&sandboxes);
        sandboxes.list(vec![], now + RETRY.0, now + RETRY.0);

        assert_eq!((early, told, again), (false, true, false));
        assert_eq!((discovered, after_old_list), (vec!["new".to_owned()], vec!["new".to_owned()]));
        assert_eq!(of_list, ["old"]);
        assert!(known(&sandboxes).is_empty());
    }

    #[test]
    fn what_was_asked_when_the_connection_ended_is_asked_again() {
        let now = Instant::now();
        let mut sandboxes = Sandboxes::default();
        sandboxes.list(vec![sandbox("a", "1", 1)], now, now);

        sandboxes.interrupt(now);

        assert_eq!(sandboxes.list(vec![sandbox("a", "1", 1)], now, now), ["a"]);
    }
}
