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
fn a_sandbox_that_is_listed_as_another_pods_is_asked_about_anew() {
    let now = Instant::now();
    let mut sandboxes = Sandboxes::default();
    sandboxes.list(vec![sandbox("a", "1", 1)], now, now);
    sandboxes.tell("a", Ok(PodSandboxStatusResponse::default()), now);

    let to_ask = sandboxes.list(vec![sandbox("a", "2", 1), sandbox("b", "1", 1)], now, now);
    sandboxes.await_no_longer();

    assert_eq!(to_ask.len(), 2);
    let uids: Vec<String> = sandboxes.pods().iter().map(|pod| pod.facts.uid.clone()).collect();
    assert_eq!(uids, ["2", "1"]);
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
fn a_clock_that_was_put_back_does_not_make_an_old_sandbox_the_newest() {
    let now = Instant::now();
    let mut next = sandbox("next", "1", 1);
    next.metadata.iter_mut().for_each(|metadata| metadata.attempt = 1);
    for listed in [[sandbox("first", "1", 9), next.clone()], [next.clone(), sandbox("first", "1", 9)]] {
        assert_eq!(Sandboxes::default().list(listed.into(), now, now), ["next"]);
    }
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
