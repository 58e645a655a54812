//! Health, readiness, and who comes in the way.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use super::{SERVED, Samples, command, host, start};
use crate::support::{
    document, eventually,
    foreign::{Foreign, Way},
    get, options,
};

pub(super) fn health_and_readiness_say_what_is_missing() {
    let host = host("ready");
    let daemon = start(&host, &[]);
    assert_eq!(get(&host.netns, SERVED, "/readyz").unwrap(), (200, "ready\n".to_owned()));

    host.write_policies("q.yaml", "kind: Nonsense\n");
    daemon.wait_line("cannot use the policies").unwrap();
    let (code, text) = get(&host.netns, SERVED, "/readyz").unwrap();
    assert_eq!((code, &*text), (503, "not ready, has yet to: read the policies\n"));
    assert_eq!(get(&host.netns, SERVED, "/healthz").unwrap().0, 200, "no restart cures it");
    eventually("the metrics say so", || {
        let samples = Samples::of(&host);
        let told = ["keepalive_ready", "keepalive_policies_last_reload_successful"].map(|it| samples.get(it));
        (told == [0.0, 0.0] && samples.get("keepalive_unfinished_tasks{task=\"read_policies\"}") == 1.0)
            .then_some(())
    });

    host.write_policies("q.yaml", "# none\n");
    eventually("it is ready again", || (get(&host.netns, SERVED, "/readyz").unwrap().0 == 200).then_some(()));
}

pub(super) fn a_cgroup_that_refuses_is_counted_with_its_reason() {
    let host = host("refused");
    let group = host.cgroup("app");
    let foreign = Foreign::load(1);
    let theirs = foreign.attach(&group, Way::Alone).unwrap();
    let daemon = host.start_with(command(&host, &[]));
    daemon.wait_line("cannot govern the cgroup").unwrap();
    daemon.wait_line("metrics and health are at").unwrap();

    let samples = Samples::of(&host);
    assert_eq!(samples.get("keepalive_refused_cgroups"), 1.0);
    assert_eq!(samples.get("keepalive_attach_errors_total{reason=\"other_program\"}"), 1.0);
    assert_eq!(samples.get("keepalive_unfinished_tasks{task=\"govern_cgroups\"}"), 1.0);
    let (code, text) = get(&host.netns, SERVED, "/readyz").unwrap();
    assert_eq!(code, 503, "{text}");

    // That it is tried again, and refused again, is no further error.
    let mark = daemon.mark();
    host.write_policies("q.yaml", &document("other", "other", ""));
    daemon.wait_line_from(mark, "read the policies").unwrap();
    drop(theirs);
    daemon.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "ready: all policies").unwrap();
    eventually("nothing is refused any more", || {
        let samples = Samples::of(&host);
        let errors = samples.get("keepalive_attach_errors_total{reason=\"other_program\"}");
        assert_eq!(errors, 1.0);
        (samples.get("keepalive_refused_cgroups") == 0.0).then_some(())
    });
}

pub(super) fn a_port_that_is_taken_holds_nothing_up() {
    let host = host("taken");
    let taken = host.netns.run(|| TcpListener::bind(SERVED).unwrap()).unwrap();
    let daemon = host.start_with(command(&host, &[]));

    daemon.wait_line("ready: all policies").unwrap();
    let line = daemon.wait_line("cannot serve metrics at 127.0.0.1:9798").unwrap();
    assert!(line.contains("WARN") && line.contains("--metrics"), "{line}");
    drop(taken);

    daemon.wait_line("metrics and health are at").unwrap();
    assert_eq!(get(&host.netns, SERVED, "/readyz").unwrap().0, 200);
}

pub(super) fn an_order_is_refused() {
    let host = host("orders");
    let app = host.cgroup("app");
    let _daemon = start(&host, &[]);
    for (method, path) in [("POST", "/metrics"), ("DELETE", "/readyz"), ("PUT", "/"), ("POST", "/v1/apply")] {
        let mut stream = host.netns.run(|| TcpStream::connect(SERVED).unwrap()).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 405 "), "{method} {path}: {answer}");
    }
    // What the control socket answers is not to be had there.
    for path in ["/v1/status", "/v1/sockets", "/v1/openapi.json"] {
        assert_eq!(get(&host.netns, SERVED, path).unwrap().0, 404, "{path}");
    }
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
}

pub(super) fn many_who_ask_hold_nothing_up() {
    let host = host("many");
    let _daemon = start(&host, &[]);
    // Each has asked for half of something, and waits.
    let idle: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = host.netns.run(|| TcpStream::connect(SERVED).unwrap()).unwrap();
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n");
            stream
        })
        .collect();

    assert_eq!(get(&host.netns, SERVED, "/healthz").unwrap().0, 200);
    assert_eq!(Samples::of(&host).get("keepalive_ready"), 1.0);
    assert_eq!(host.status()["daemon"]["ready"], true, "and the control socket answers");
    drop(idle);
}
