//! Readers that are slow, and readers that go away.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    process::Stdio,
};

use super::{KEEPALIVE, rows, sockets};
use crate::support::{Host, document, eventually};

/// Their list is longer than what lies between the daemon and a client that does not read.
const PAIRS: usize = 3000;

/// Asks for the list, and reads no more than the first line of the answer.
fn ask(host: &Host) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(host.socket()).unwrap();
    stream.write_all(b"GET /v1/sockets HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, &stream).read_line(&mut line).unwrap();
    (stream, line)
}

pub(super) fn one_list_at_a_time_and_who_does_not_read_keeps_nobody_for_ever() {
    let host = Host::new("patience");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let _daemon = host.start();
    let mut peer = host.peer(&app);
    peer.pairs(PAIRS);
    let (first, line) = ask(&host);
    assert!(line.contains("200"), "{line}");

    // So many may wait; they hear nothing meanwhile.
    let waiting: Vec<UnixStream> = (0..3)
        .map(|_| {
            let mut stream = UnixStream::connect(host.socket()).unwrap();
            stream.write_all(b"GET /v1/sockets HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    eventually("one more is told to come back", || ask(&host).1.contains("429").then_some(()));
    assert!(host.status()["daemon"]["ready"].as_bool().unwrap(), "the daemon answers all else");
    drop((first, waiting));

    let listing = eventually("who goes away makes room", || {
        let output = host.run("sockets", &["-o", "json"]);
        output.status.success().then(|| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap())
    });
    assert_eq!(rows(&listing).len(), 2 * PAIRS);
}

pub(super) fn watch_goes_on_until_nobody_reads() {
    let host = Host::new("watch");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let _daemon = host.start();
    let mut peer = host.peer(&app);
    let _ = peer.pair();
    assert_eq!(rows(&sockets(&host, &[])).len(), 2);
    let mut watch = host.command("sockets");
    let mut child = watch.args(["--watch", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // What cannot be looked through is another machine's, or none.
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with("not looked through"));

    for _ in 0..2 {
        let [header, first, second, summary] = [(); 4].map(|()| lines.next().unwrap());
        assert!(
            header.starts_with("CGROUP") && summary.starts_with("2 connections: 2 with the policy's values")
        );
        assert!([first, second].iter().all(|row| row.starts_with("app") && row.contains("600s/15s/4")));
    }
    drop(lines);

    assert!(child.wait().unwrap().success(), "it ends when nobody reads");
}
