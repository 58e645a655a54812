//! Connections that were silent for long would all probe at the moment they are armed: what they send is spread.

use std::collections::BTreeMap;

use xtask::lab::{Capture, capture::Kind};

use crate::support::{Host, NEAR, document, eventually, far_end, options};

crate::tests!(what_was_silent_for_long_probes_at_the_rate_of_the_sweep);

const CONNECTIONS: usize = 40;
/// So many of the first and of the last do not count, and so many need not be seen: a capture may miss one of forty
/// packets of the same moment, and of a connection whose handshake it missed no probe is known as one.
const TAIL: usize = 4;

/// The seconds between the first probes of the first connections and those of the last, where they are swept at `rate`.
fn spread(rate: &str) -> f64 {
    let host = Host::new("spread");
    let group = host.cgroup("app");
    let (_netns, mut server) = far_end(&host, "10.79.1.1/24", "10.79.1.2/24");
    let mut client = host.peer(&group);
    // From the handshakes on, by which it tells a probe from what is sent again.
    let capture = Capture::start(&host.netns, NEAR).unwrap();
    let (listener, address) = server.listen("10.79.1.2:0", false);
    let connections: Vec<usize> = (0..CONNECTIONS)
        .map(|_| {
            let connection = client.connect(address);
            server.accept(listener);
            connection
        })
        .collect();
    host.write_policies("p.yaml", &document("p", "app", "keepalive: {idle: 1s, interval: 1s, probes: 3}"));
    let mut run = host.command("run");
    run.args(["--sweep-rate", rate, "--sweep-delay", "0s"]);

    let _daemon = host.start_with(run);

    let first_probes = eventually("the connections have probed", || {
        let mut first: BTreeMap<_, f64> = BTreeMap::new();
        for probe in capture.segments().unwrap().iter().filter(|it| it.kind == Kind::KeepAliveProbe) {
            first.entry(probe.from).or_insert(probe.time);
        }
        (first.len() >= CONNECTIONS - TAIL).then_some(first)
    });
    eventually("every connection is armed", || {
        connections.iter().all(|it| client.options(*it) == options(true, 1, 1, 3, 0)).then_some(())
    });
    let mut times: Vec<f64> = first_probes.into_values().collect();
    times.sort_by(f64::total_cmp);
    times[times.len() - 1 - TAIL] - times[TAIL]
}

fn what_was_silent_for_long_probes_at_the_rate_of_the_sweep() {
    let [slow, unlimited] = [spread("10"), spread("0")];

    // Forty at ten a second take four seconds, each pause half to one and a half of its length, and the iterator is ahead
    // by up to sixteen.
    assert!(slow > 1.0, "{slow} s");
    assert!(unlimited < slow / 2.0, "{unlimited} s without a limit, {slow} s with one");
}
