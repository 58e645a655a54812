//! The runtime is away, comes back, or is none.

use std::fs;

use tokio::net::UnixListener;

use super::*;

#[tokio::test]
async fn while_the_runtime_is_away_its_last_word_stands() {
    let directory = directory();
    let mut fake = Fake::start(directory.path(), "containerd", "1.7.24");
    fake.run("a", at("kubepods/a"));
    let mut runtime = follow(&fake.path);
    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;

    fake.stop().await;
    let why = trouble(&mut runtime).await;
    let away = runtime.state();
    fake.run("b", at("kubepods/b"));
    fake.start_again();
    pods_are(&mut runtime, &[("a", "kubepods/a"), ("b", "kubepods/b")]).await;

    assert!(why.contains("fake.sock") && why.contains("--cri-socket"), "{why}");
    assert_eq!(places(&away).unwrap().len(), 1);
    assert_eq!(away.name.as_deref(), Some("containerd 1.7.24"));
    assert_eq!(runtime.state().trouble, None);
    // Nothing of a sandbox changes while its runtime is away.
    assert_eq!(fake.log().statuses["a"], 1);
}

#[tokio::test]
async fn it_is_away_since_it_went() {
    let directory = directory();
    let path = directory.path().join("none.sock");
    let mut runtime = follow(&path);
    trouble(&mut runtime).await;
    let since = runtime.state().trouble.unwrap().since;

    // Another reason, for the same absence.
    fs::write(&path, "").unwrap();
    runtime.ask_about(question("kubepods/a"));
    runtime.changed().await.unwrap();

    let still = runtime.state().trouble.unwrap();
    assert!(still.message.contains("not a socket"), "{}", still.message);
    assert_eq!(still.since, since);
}

#[tokio::test]
async fn a_question_is_a_reason_to_connect_again_soon() {
    let directory = directory();
    let path = directory.path().join("fake.sock");
    let mut runtime = follow(&path);
    trouble(&mut runtime).await;
    let fake = Fake::start(directory.path(), "containerd", "1.7.24");
    fake.run("a", at("kubepods/a"));

    runtime.ask_about(question("kubepods/a"));

    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;
}

#[tokio::test]
async fn what_is_no_runtime_is_named() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let deserted = directory.path().join("deserted.sock");
    drop(UnixListener::bind(&deserted).unwrap());
    let closing = directory.path().join("closing.sock");
    let listener = UnixListener::bind(&closing).unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move { while listener.accept().await.is_ok() {} });

    for (path, says) in [
        (directory.path().join("missing.sock"), "there is no such socket"),
        (file, "it is not a socket"),
        (deserted, "nobody listens on it"),
        (closing, "closing.sock: "),
    ] {
        let said = trouble(&mut follow(&path)).await;
        assert!(said.contains(path.to_str().unwrap()) && said.contains(says), "{said}");
        assert!(said.contains("--cri-socket"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_another_version_is_named() {
    for (service, says) in [
        ("runtime.v1alpha2.RuntimeService", "containerd 1.5.9 speaks the CRI v1alpha2 only"),
        ("containerd.services.version.v1.Version", "CRI plugin is off"),
    ] {
        let directory = directory();
        let fake = Fake::serving(directory.path(), service, "containerd", "1.5.9");
        let said = trouble(&mut follow(&fake.path)).await;
        assert!(said.contains(says) && said.contains("--cri-socket"), "{said}");
    }
}

#[tokio::test]
async fn of_the_known_places_the_first_with_pods_is_taken_and_kept() {
    let [early, late] = [directory(), directory()];
    let paths = [&early, &late].map(|directory| directory.path().join("fake.sock"));
    let sockets = Sockets::any_of(paths.to_vec());
    let mut runtime = Runtime::on(Some(sockets), Journal::default());
    let none = trouble(&mut runtime).await;

    let mut second = Fake::start(late.path(), "containerd", "1.7.24");
    second.run("late", at("kubepods/late"));
    runtime.ask_about(question("kubepods/late"));
    pods_are(&mut runtime, &[("late", "kubepods/late")]).await;
    let first = Fake::start(early.path(), "containerd", "1.7.24");
    first.run("early", at("kubepods/early"));
    second.stop().await;
    trouble(&mut runtime).await;
    second.run("later", at("kubepods/later"));
    second.start_again();

    pods_are(&mut runtime, &[("late", "kubepods/late"), ("later", "kubepods/later")]).await;
    assert!(paths.iter().all(|path| none.contains(path.to_str().unwrap())), "{none}");
    assert!(none.contains("--cri-socket") && none.contains("none"), "{none}");
    assert_eq!(first.log().connections, 0);
}

#[tokio::test]
async fn a_runtime_without_pods_is_left_for_one_that_has_some() {
    let [early, late] = [directory(), directory()];
    let paths = [&early, &late].map(|directory| directory.path().join("fake.sock"));
    let (journal, runtime_of_docker) = (Journal::default(), Fake::start(late.path(), "containerd", "2.1.0"));
    let mut runtime = Runtime::on(Some(Sockets::any_of(paths.to_vec())), journal);
    pods_are(&mut runtime, &[]).await;

    // The kubelet's own comes up later.
    let fake = Fake::start(early.path(), "containerd", "1.7.24");
    fake.run("a", at("kubepods/a"));
    runtime.ask_about(question("kubepods/a"));
    pods_are(&mut runtime, &[("a", "kubepods/a")]).await;

    let state = runtime.state();
    assert_eq!(state.socket.as_deref(), Some(paths[0].as_path()));
    assert_eq!(state.name.as_deref(), Some("containerd 1.7.24"));
    assert_eq!(state.trouble, None);
    // From here on there is no other.
    let asked = runtime_of_docker.log();
    fake.remove("a");
    runtime.ask_about(question("kubepods/b"));
    pods_are(&mut runtime, &[]).await;
    // One that looks elsewhere when it finds none does so with each list.
    let lists = fake.log().lists;
    fake.asked(|log| log.lists > lists + 2).await;
    assert_eq!(runtime_of_docker.log().connections, asked.connections);
}

#[tokio::test]
async fn that_a_runtime_has_no_pods_is_not_told_before_another_that_has_some() {
    let [early, late] = [directory(), directory()];
    let _empty = Fake::start(early.path(), "containerd", "2.1.0");
    let fake = Fake::start(late.path(), "cri-o", "1.31.0");
    fake.run("a", at("kubepods/a"));
    let paths = [&early, &late].map(|directory| directory.path().join("fake.sock"));

    let mut runtime = Runtime::on(Some(Sockets::any_of(paths.to_vec())), Journal::default());

    // What an earlier run attached to the pods would be taken off them.
    while runtime.state().pods.is_none() {
        runtime.changed().await.unwrap();
    }
    assert_eq!(places(&runtime.state()).unwrap().len(), 1);
}
