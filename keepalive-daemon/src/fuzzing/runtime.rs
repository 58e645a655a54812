//! Answers of the container runtime.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use prost::Message as _;
use tonic::Status;

use super::{cgroups, draw::Draw};
use crate::{
    cri::{
        ListPodSandboxResponse, PodSandbox, PodSandboxMetadata, PodSandboxStatus, PodSandboxStatusResponse,
    },
    policy::ANNOTATION_PREFIX,
    workloads::{
        Place, Pod,
        readers::{Sandboxes, read},
    },
};

/// Takes lists and states of sandboxes, as bytes. Of each sandbox that is listed something is known in the end, and of one
/// pod there is one.
///
/// # Panics
/// If that is not so, or a pod is somewhere where none can be.
pub fn runtime(data: &[u8]) {
    let mut draw = Draw::new(data);
    let mut sandboxes = Sandboxes::default();
    let mut now = Instant::now();
    while !draw.is_empty() {
        now += Duration::from_millis(draw.byte().into());
        let verb = draw.below(4);
        let length = draw.below(256) | draw.below(4) << 8;
        let bytes = draw.take(length);
        let status = || PodSandboxStatusResponse::decode(bytes).unwrap_or_default();
        match verb {
            0 | 1 => {
                let Ok(ListPodSandboxResponse { items }) = ListPodSandboxResponse::decode(bytes) else {
                    continue;
                };
                let listed: BTreeSet<String> = items.iter().map(|item| item.id.clone()).collect();
                let to_ask = sandboxes.list(items, now, now);
                assert!(to_ask.iter().all(|id| listed.contains(id)));
                for id in to_ask {
                    let answer = if draw.coin() { Ok(status()) } else { Err(Status::not_found("gone")) };
                    sandboxes.tell(&id, answer, now);
                }
            }
            2 => {
                sandboxes.discover(&status(), now);
            }
            _ => sandboxes.interrupt(now),
        }
        sandboxes.await_no_longer();
        known(&sandboxes.pods());
    }
}

impl<'a> Draw<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let rest = std::mem::replace(self, Draw::new(&[])).rest();
        let (taken, rest) = rest.split_at(length.min(rest.len()));
        *self = Draw::new(rest);
        taken
    }
}

fn known(pods: &[std::sync::Arc<Pod>]) {
    let mut uids = BTreeSet::new();
    for pod in pods {
        let uid = &pod.facts.uid;
        assert!(uid.is_empty() || uids.insert(uid), "two of one pod");
        check(pod);
    }
}

/// Reads the JSON that comes with the verbose state of a sandbox.
///
/// # Panics
/// If the pod is somewhere where none can be.
pub fn sandbox_info(data: &[u8]) {
    let mut draw = Draw::new(data);
    let metadata = PodSandboxMetadata {
        name: "web-0".to_owned(),
        uid: "0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60".to_owned(),
        namespace: "shop".to_owned(),
        attempt: 0,
    };
    let mut sandbox = PodSandbox { id: "4f2a".to_owned(), metadata: Some(metadata), ..PodSandbox::default() };
    if draw.coin() {
        sandbox.runtime_handler = draw.text();
    }
    let info = String::from_utf8_lossy(draw.rest()).into_owned();
    let status = PodSandboxStatusResponse {
        status: Some(PodSandboxStatus::default()),
        info: HashMap::from([("info".to_owned(), info)]),
        ..PodSandboxStatusResponse::default()
    };
    check(&read(&sandbox, Ok(&status)));
    let untold = read(&sandbox, Err("no answer".to_owned()));
    assert!(matches!(untold.place, Place::Untold(_)) && untold.network.is_none());
}

fn check(pod: &Pod) {
    let Pod { facts, network, place, .. } = pod;
    match place {
        Place::Cgroup(path) => cgroups::check(path),
        // It may name the sandbox, by the id that the runtime chose for it.
        Place::Unreachable(reason) => assert!(reason.len() < 1024 + pod.sandbox.len(), "{reason:?}"),
        Place::Untold(_) => {}
    }
    assert!(facts.annotations.keys().all(|key| key.starts_with(ANNOTATION_PREFIX)));
    let is_good =
        |path: &std::path::PathBuf| path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0);
    assert!(network.as_ref().is_none_or(is_good), "{network:?}");
}
