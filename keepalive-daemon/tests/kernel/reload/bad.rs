//! Changes that cannot be used, or not yet.

use std::{fs::File, io::Write as _};

use nix::sys::signal::Signal;

use super::{armed, count, fresh, governed, policy};
use crate::support::{Host, Prober, document, objects};

pub(super) fn a_mistake_leaves_the_last_good_policies_and_says_where_it_is() {
    let (host, app, daemon) = governed("mistake");
    let links = objects::links(&app);
    for (what, text, place, field, help) in [
        ("out of range", policy(100_000), "p.yaml:4:", "spec.keepalive.idle", "32767"),
        ("an unknown field", document("p", "app", "idel: 60s"), "p.yaml:4:", "idel", "help:"),
        ("no YAML", "kind: [\n".to_owned(), "p.yaml:", "", "help:"),
    ] {
        let mark = daemon.mark();

        host.write_policies("p.yaml", &text);

        let line = daemon.wait_line_from(mark, "cannot use the policies").unwrap();
        assert!(
            line.contains("ERROR") && line.contains("the last good ones stay in force"),
            "{what}: {line}"
        );
        let at = daemon.wait_line_from(mark, place).unwrap();
        assert!(at.contains(field), "{what}: {at}");
        daemon.wait_line_from(mark, help).unwrap();
        let told = host.status()["daemon"]["policyError"].as_str().unwrap().to_owned();
        assert_eq!(host.run("status", &[]).status.code(), Some(1));
        assert!(told.contains(place) && told.contains(field) && told.contains(help), "{what}: {told}");
        let table = String::from_utf8(host.run("status", &[]).stdout).unwrap();
        assert!(table.contains(place), "{what}: {table}");
        assert_eq!(objects::links(&app), links, "{what}");
        assert_eq!(fresh(&host, &app), armed(100), "{what}");
    }
    let mark = daemon.mark();

    host.write_policies("p.yaml", &policy(200));

    daemon.wait_line_from(mark, "changed the policy").unwrap();
    assert_eq!(fresh(&host, &app), armed(200));
    assert_eq!(host.status()["daemon"]["policyError"], serde_json::Value::Null);
}

pub(super) fn duplicate_names_across_files_are_refused() {
    let (host, app, daemon) = governed("duplicate");
    let mark = daemon.mark();

    host.write_policies("q.yaml", &policy(200));

    daemon.wait_line_from(mark, "cannot use the policies").unwrap();
    let told = host.status()["daemon"]["policyError"].as_str().unwrap().to_owned();
    assert!(told.contains("p.yaml:") && told.contains("q.yaml:"), "it names both places: {told}");
    assert_eq!(fresh(&host, &app), armed(100));
}

pub(super) fn a_half_written_file_is_never_applied() {
    let (host, app, daemon) = governed("half");
    let prober = Prober::start(host.peer(&app));
    let mark = daemon.mark();
    // Each half would be a valid policy by itself, and another one than the whole.
    let [first, second] = [
        document("half", "app", "priority: 5, keepalive: {idle: 200s, interval: 13s, probes: 5}"),
        document("whole", "app", "priority: 9, keepalive: {idle: 300s, interval: 13s, probes: 5}"),
    ];

    let mut file = File::create(host.policies().join("q.yaml")).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    file.flush().unwrap();
    // A rest is written when the daemon, were it not to wait for it, would long have read the first half.
    prober.await_more(100);
    file.write_all(second.as_bytes()).unwrap();
    drop(file);

    daemon.wait_line_from(mark, "policy=\"whole\"").unwrap();
    prober.await_more(1);
    let seen = prober.finish();
    assert_eq!(seen, [armed(100), armed(300)]);
    assert_eq!(count(&daemon, "policy=\"half\""), 0);
}

pub(super) fn a_writer_that_does_not_close_is_reported_and_waited_for() {
    let (host, app, daemon) = governed("never-closes");
    let mark = daemon.mark();
    let whole = document("q", "app", "priority: 9, keepalive: {idle: 300s, interval: 13s, probes: 5}");

    let mut file = File::create(host.policies().join("q.yaml")).unwrap();
    file.write_all(&whole.as_bytes()[..whole.len() / 2]).unwrap();
    file.flush().unwrap();

    let line = daemon.wait_line_from(mark, "not read while somebody writes these files").unwrap();
    assert!(line.contains("WARN") && line.contains("q.yaml"), "{line}");
    assert_eq!(fresh(&host, &app), armed(100));

    file.write_all(&whole.as_bytes()[whole.len() / 2..]).unwrap();
    drop(file);

    daemon.wait_line_from(mark, "changed the policy").unwrap();
    assert_eq!(fresh(&host, &app), armed(300));
    // Half of it is no YAML: to read it would have been an error.
    assert_eq!(count(&daemon, "cannot use the policies"), 0);
}

pub(super) fn what_an_editor_keeps_open_beside_the_policies_holds_nothing_up() {
    let (host, app, daemon) = governed("editor");
    let mark = daemon.mark();

    let mut beside = File::create(host.policies().join(".p.yaml.swp")).unwrap();
    beside.write_all(b"what vim writes until it ends").unwrap();
    beside.flush().unwrap();
    host.write_policies("p.yaml", &policy(300));

    daemon.wait_line_from(mark, "changed the policy").unwrap();
    assert_eq!(fresh(&host, &app), armed(300));
    assert_eq!(count(&daemon, "somebody writes these files"), 0);
    drop(beside);
}

pub(super) fn a_bad_directory_at_the_start_leaves_the_pins_in_force() {
    type Spoil = fn(&Host);
    let spoils: [(&str, Spoil); 2] = [
        ("a file with a mistake", |host| host.write_policies("p.yaml", "kind: nonsense\n")),
        ("no directory", |host| std::fs::rename(host.policies(), host.directory().join("away")).unwrap()),
    ];
    for (what, spoil) in spoils {
        let (host, app, daemon) = governed("bad-start");
        let links = objects::links(&app);
        daemon.signal(Signal::SIGKILL).unwrap();
        daemon.wait().unwrap();
        spoil(&host);

        let next = host.start_with(host.command("run"));

        next.wait_line("what is pinned stays in force").unwrap();
        assert_eq!(objects::links(&app), links, "{what}");
        assert_eq!(fresh(&host, &app), armed(100), "{what}");
        let status = host.status();
        assert_eq!(status["daemon"]["ready"], false, "{what}");
        assert!(
            status["daemon"]["unfinished"][0].as_str().unwrap().contains("read the policies"),
            "{status}"
        );
        assert!(status["daemon"]["policyError"].is_string(), "{status}");
        assert_eq!(host.run("status", &[]).status.code(), Some(1), "{what}");

        std::fs::create_dir_all(host.policies()).unwrap();
        host.write_policies("p.yaml", &policy(200));

        next.wait_line("ready: all policies").unwrap();
        assert_eq!(objects::links(&app), links, "{what}");
        assert_eq!(fresh(&host, &app), armed(200), "{what}");
        assert_eq!(host.run("status", &[]).status.code(), Some(0), "{what}");
    }
}
