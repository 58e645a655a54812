//! The follower against a fake runtime: what it asks, when, and what it makes of the answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod fake;

use std::path::Path;

use futures_util::FutureExt as _;
use tempfile::TempDir;
use tonic::Status;

use self::fake::{Answer, Fake};
use super::*;
use crate::workloads::pods::Place;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("keepalive-test-").tempdir().unwrap()
}

fn follow(path: &Path) -> Runtime {
    Runtime::follow(CriSocket::At(path.to_owned()), Journal::default())
}

fn at(cgroup: &str) -> Answer {
    Answer::In(cgroup.to_owned())
}

fn question(text: &str) -> BTreeSet<String> {
    BTreeSet::from([text.to_owned()])
}

/// The pods that are known with their places.
fn places(state: &RuntimeState) -> Option<Vec<(String, Place)>> {
    let pods = state.pods.as_ref()?;
    Some(pods.iter().map(|pod| (pod.facts.name.clone(), pod.place.clone())).collect())
}

/// Waits until the known pods are these in these cgroups.
async fn pods_are(runtime: &mut Runtime, expected: &[(&str, &str)]) {
    let expected =
        expected.iter().map(|(name, path)| ((*name).to_owned(), Place::Cgroup((*path).to_owned())));
    let expected = Some(expected.collect::<Vec<_>>());
    while places(&runtime.state()) != expected {
        runtime.changed().await.unwrap();
    }
}

/// Waits until there is trouble; returns what it is.
async fn trouble(runtime: &mut Runtime) -> String {
    loop {
        if let Some(trouble) = runtime.state().trouble {
            return trouble.message;
        }
        runtime.changed().await.unwrap();
    }
}

#[tokio::test]
async fn the_pods_of_running_sandboxes_are_told() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    fake.run("a", at("kubepods/a"));
    fake.run("b", at("kubepods/b"));

    let mut runtime = follow(&fake.path);
    assert!(runtime.state().pods.is_none());
    pods_are(&mut runtime, &[("a", "kubepods/a"), ("b", "kubepods/b")]).await;

    let state = runtime.state();
    assert_eq!(state.socket.as_deref(), Some(fake.path.as_path()));
    assert_eq!(state.name.as_deref(), Some("containerd 1.7.24"));
    assert_eq!(state.trouble, None);
}

#[tokio::test]
async fn a_node_without_pods_is_told_as_such() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    pods_are(&mut follow(&fake.path), &[]).await;
}

#[tokio::test]
async fn a_question_is_asked_at_once_and_again_until_it_is_answered() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    let mut runtime = follow(&fake.path);
    pods_are(&mut runtime, &[]).await;
    assert_eq!(fake.log().lists, 1);

    runtime.ask_about(question("kubepods/a"));
    fake.asked(|log| log.lists >= 5).await;
    fake.run("a", at("kubepods/a"));

    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;
}

#[tokio::test]
async fn a_sandbox_that_a_question_names_is_known_before_it_is_listed() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    let mut runtime = follow(&fake.path);
    pods_are(&mut runtime, &[]).await;
    let id = "0123456789abcdef".repeat(4);
    fake.answer_no_lists();

    runtime.ask_about(question(&format!("kubepods/a/{id}")));
    fake.asked(|log| log.statuses.get(&id).is_some_and(|times| *times >= 3)).await;
    fake.run(&id, at("kubepods/a"));

    pods_are(&mut runtime, &[(id.as_str(), "kubepods/a")]).await;
}

#[tokio::test]
async fn a_sandbox_is_asked_about_once() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    fake.run("a", at("kubepods/a"));
    let mut runtime = follow(&fake.path);
    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;

    runtime.ask_about(question("kubepods/b"));
    fake.asked(|log| log.lists >= 5).await;
    fake.run("b", at("kubepods/b"));
    pods_are(&mut runtime, &[("a", "kubepods/a"), ("b", "kubepods/b")]).await;
    fake.remove("a");
    pods_are(&mut runtime, &[("b", "kubepods/b")]).await;

    assert_eq!(fake.log().statuses, [("a".to_owned(), 1), ("b".to_owned(), 1)].into());
}

#[tokio::test]
async fn the_same_answer_wakes_nobody() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    fake.run("a", at("kubepods/a"));
    let mut runtime = follow(&fake.path);
    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;
    // Takes note of what is known.
    runtime.state.mark_unchanged();

    runtime.ask_about(question("kubepods/b"));
    fake.asked(|log| log.lists >= 5).await;

    assert!(!runtime.state.has_changed().unwrap());
}

#[tokio::test]
async fn statuses_that_hang_hold_up_no_other() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    for at in 0..20 {
        fake.run(&format!("hangs {at}"), Answer::Hang);
    }
    fake.run("good", at("kubepods/good"));
    let mut runtime = follow(&fake.path);
    while runtime.state().pods.is_none() {
        runtime.changed().await.unwrap();
    }
    let first = places(&runtime.state()).unwrap();

    fake.run("next", at("kubepods/next"));
    runtime.ask_about(question("kubepods/next"));
    let next = ("next".to_owned(), Place::Cgroup("kubepods/next".to_owned()));
    while !places(&runtime.state()).unwrap().contains(&next) {
        runtime.changed().await.unwrap();
    }

    // They are somewhere: what an earlier run attached to them stays.
    let untold = first.iter().filter(|(_, place)| matches!(place, Place::Untold(_))).count();
    let good = ("good".to_owned(), Place::Cgroup("kubepods/good".to_owned()));
    assert_eq!((untold, first.contains(&good)), (20, true));
}

#[tokio::test]
async fn what_an_earlier_run_attached_is_not_put_at_risk_by_half_the_pods() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    for at in 0..50 {
        fake.run(&format!("{at:02}"), Answer::In(format!("kubepods/{at}")));
    }
    let mut runtime = follow(&fake.path);
    while runtime.state().pods.is_none() {
        runtime.changed().await.unwrap();
    }
    assert_eq!(runtime.state().pods.unwrap().len(), 50);
}

#[tokio::test]
async fn a_status_that_fails_is_said_and_asked_for_again() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    fake.run("a", Answer::Error(Status::internal("the shim is busy")));
    let mut runtime = follow(&fake.path);
    while runtime.state().pods.is_none() {
        runtime.changed().await.unwrap();
    }
    let known = places(&runtime.state()).unwrap();
    fake.run("a", at("kubepods/a"));
    runtime.ask_about(question("sandbox a"));

    assert_eq!(known, [("a".to_owned(), Place::Untold("the shim is busy".to_owned()))]);
    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;
}

#[tokio::test]
async fn an_event_is_followed_by_a_list_where_events_are_for_all() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "2.1.9");
    let mut runtime = follow(&fake.path);
    pods_are(&mut runtime, &[]).await;
    fake.asked(|log| log.subscriptions == 1).await;

    fake.run("a", at("kubepods/a"));
    fake.tell_of_something();
    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;
    fake.remove("a");
    fake.tell_of_something();

    pods_are(&mut runtime, &[]).await;
}

#[tokio::test]
async fn events_that_would_be_taken_from_the_kubelet_are_left_alone() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    let mut runtime = follow(&fake.path);
    pods_are(&mut runtime, &[]).await;
    runtime.ask_about(question("kubepods/a"));

    let log = fake.asked(|log| log.lists >= 5).await;

    assert_eq!(log.subscriptions, 0);
}

#[tokio::test]
async fn nothing_goes_on_when_nobody_follows() {
    let directory = directory();
    let fake = Fake::start(directory.path(), "containerd", "2.1.9");
    fake.run("hangs", Answer::Hang);
    let runtime = follow(&fake.path);
    fake.asked(|log| log.connections == 1 && log.subscriptions == 1 && !log.statuses.is_empty()).await;

    drop(runtime);

    fake.asked(|log| log.connections == 0).await;
}

#[tokio::test]
async fn a_host_without_pods_waits_for_nothing() {
    let mut runtime = Runtime::follow(CriSocket::Off, Journal::default());
    runtime.ask_about(question("kubepods/a"));
    assert!(runtime.changed().now_or_never().is_none());
    assert!(runtime.state().pods.is_none() && runtime.state().trouble.is_none());
}
