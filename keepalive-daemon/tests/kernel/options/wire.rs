//! What keep-alive does between two network namespaces.

use xtask::lab::{
    Capture,
    capture::{Kind, Segment},
};

use crate::support::{Host, NEAR, UNTOUCHED, document, far_end, options};

/// When segments of a kind were sent, in seconds.
fn times(segments: &[Segment]) -> Vec<f64> {
    segments.iter().map(|segment| segment.time).collect()
}

pub(super) fn probes_are_sent_and_answered() {
    for (near, far, at) in
        [("10.79.1.1/24", "10.79.1.2/24", "10.79.1.2:0"), ("fd79::1/64", "fd79::2/64", "[fd79::2]:0")]
    {
        let host = Host::new("wire");
        let cgroup = host.cgroup("app");
        host.write_policies(
            "p.yaml",
            &document("p", "app", "keepalive: {idle: 1s, interval: 1s, probes: 3}"),
        );
        let _daemon = host.start();
        let (_netns, mut server) = far_end(&host, near, far);
        let capture = Capture::start(&host.netns, NEAR).unwrap();
        let mut client = host.peer(&cgroup);
        let (listener, address) = server.listen(at, false);

        let connection = client.connect(address);
        let accepted = server.accept(listener);

        let answers = capture.wait_kind(Kind::KeepAliveAnswer, 2).unwrap();
        let probes = capture.wait_kind(Kind::KeepAliveProbe, 2).unwrap();
        assert!(probes.iter().all(|probe| probe.to == address), "only the armed end probes: {probes:?}");
        assert!(answers.iter().all(|answer| answer.from == address), "the other end answers: {answers:?}");
        // A timer of the kernel may be late and is never early, but for the tick it is counted in.
        let pauses: Vec<f64> = times(&probes).windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.iter().all(|pause| *pause > 0.9), "a second of silence before each probe: {pauses:?}");
        assert_eq!(client.options(connection), options(true, 1, 1, 3, 0));
        assert_eq!(server.options(accepted), UNTOUCHED);
    }
}

pub(super) fn a_peer_that_fell_silent_ends_the_connection() {
    let host = Host::new("silent");
    let cgroup = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", "keepalive: {idle: 1s, interval: 1s, probes: 2}"));
    let _daemon = host.start();
    let (netns, mut server) = far_end(&host, "10.79.1.1/24", "10.79.1.2/24");
    let capture = Capture::start(&host.netns, NEAR).unwrap();
    let mut client = host.peer(&cgroup);
    let (listener, address) = server.listen("10.79.1.2:0", false);
    let connection = client.connect(address);
    server.accept(listener);
    capture.wait_kind(Kind::KeepAliveAnswer, 1).unwrap();

    // From here on the far end hears nothing: the neighbour entry of the near one stays good, TCP is dropped.
    let rules = "table inet silence {
        chain input {
            type filter hook input priority filter
            meta l4proto tcp drop
        }
    }";
    let silenced = netns.command("nft").arg(rules).output().unwrap();
    assert!(silenced.status.success(), "{silenced:?}");
    let end = client.receive(connection);

    assert_eq!(end, Err(libc::ETIMEDOUT));
    let reset = capture.wait_kind(Kind::Reset, 1).unwrap();
    assert!(reset.iter().all(|segment| segment.to == address), "the near end gives up: {reset:?}");
    let segments = capture.segments().unwrap();
    let last_answer = segments.iter().rposition(|segment| segment.kind == Kind::KeepAliveAnswer).unwrap();
    let unanswered = segments[last_answer..].iter().filter(|segment| segment.kind == Kind::KeepAliveProbe);
    assert_eq!(unanswered.count(), 2, "as many probes as the policy says: {segments:?}");
}
