//! Clients that are many, or slow, or silent.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use xtask::lab::Process;

use super::{ask, curl};
use crate::support::{Host, daemon, document, eventually, options};

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

/// More than the daemon serves at once, and more than it may have files open.
const MANY: usize = 200;

/// What the daemon may have open, clients included.
const MOST_FILES: usize = 128;

fn connect(host: &Host, says: &str) -> UnixStream {
    let mut stream = UnixStream::connect(host.socket()).unwrap();
    // Whoever kept the daemon waiting for long may have been shown out.
    let _ = stream.write_all(says.as_bytes());
    stream
}

fn open_files(daemon: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

fn health(host: &Host) -> bool {
    let mut command = daemon();
    command.args(["health", "--ready", "--api-socket"]).arg(host.socket());
    command.output().unwrap().status.success()
}

pub(super) fn clients_that_do_nothing_keep_nobody_from_anything() {
    let host = Host::new("silent");
    let _first = host.cgroup("first");
    host.write_policies("p.yaml", &document("all", "*", KEEPALIVE));
    let daemon = host.start_swept();
    eventually("all is loaded that something governed needs", || {
        (host.status()["daemon"]["helping"]["findsDeadPeers"] == true).then_some(())
    });
    let before = open_files(&daemon);
    let ways = [
        "",
        "GET /v1/st",
        "GET /v1/status HTTP/1.1\r\nhost: x\r\n",
        "POST /v1/apply HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{",
        "GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ];

    let silent: Vec<UnixStream> = (0..MANY).map(|number| connect(&host, ways[number % ways.len()])).collect();

    assert!(health(&host), "whoever asks is answered");
    assert_eq!(host.status()["daemon"]["ready"], true);
    assert!(open_files(&daemon) < MOST_FILES, "{} files are open", open_files(&daemon));
    // And it goes about its work.
    let later = host.cgroup("later");
    daemon.wait_line("attached cgroup=\"later\"").unwrap();
    let mut peer = host.peer(&later);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
    drop(silent);
    // One more for the program of the peer is not the daemon's.
    eventually("the daemon lets go of them", || (open_files(&daemon) <= before + 2).then_some(()));
}

pub(super) fn as_many_as_ask_at_once_are_answered() {
    let host = Host::new("many-clients");
    let _app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let daemon = host.start();
    let attempts = AtomicUsize::new(0);

    let answers: Vec<String> = thread::scope(|scope| {
        let ask = || {
            let question = "GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n";
            // Who does not get to write it for a quarter of a second makes room, without a word.
            eventually("somebody answers", || {
                attempts.fetch_add(1, Ordering::Relaxed);
                let mut answer = String::new();
                let read = connect(&host, question).read_to_string(&mut answer);
                (read.is_ok() && !answer.is_empty()).then_some(answer)
            })
        };
        let asking: Vec<_> = (0..MANY).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|client| client.join().unwrap()).collect()
    });

    assert!(attempts.into_inner() <= 2 * MANY, "few are shown out");
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"app\""), "{answer}");
    }
    daemon.check().unwrap();
}

pub(super) fn listeners_are_few_and_make_room() {
    const LISTENERS: usize = 16;

    let host = Host::new("listeners");
    let _app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let _daemon = host.start();
    let listen = || {
        let stream = connect(&host, "GET /v1/events?follow=true HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().unwrap().unwrap();
        (first, lines)
    };

    let listeners: Vec<_> = (0..LISTENERS).map(|_| listen()).collect();
    let (refused, _) = listen();

    assert!(listeners.iter().all(|(first, _)| first.ends_with("200 OK")), "{}", listeners[0].0);
    assert!(refused.contains("429"), "{refused}");
    assert_eq!(ask(&mut curl(&host, "/v1/events")).code, 429);
    assert!(health(&host), "others are answered");
    drop(listeners);
    eventually("there is room again", || (ask(&mut curl(&host, "/v1/events")).code == 200).then_some(()));
}
