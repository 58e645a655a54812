//! Connections that are silent for long.

use std::{thread, time::Duration};

use serde_json::Value;
use xtask::lab::{Nat, Process, TEST_PREFIX, sockets};

use super::{FAR, NEAR, connect, govern, helped, start};
use crate::{
    peer::SENT,
    support::{Host, Peer, UNTOUCHED, document, eventually, far_end, options},
};

/// After what silence the NAT forgets; the same that counts.
const NAT_TIMEOUT: Duration = Duration::from_secs(4);

/// What it was good for, once there is something that `is_it`.
fn eventually_helped(host: &Host, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || Some(helped(host)).filter(|helped| is_it(helped)))
}

pub(super) fn a_connection_is_kept_alive_through_a_nat_and_used_again() {
    let host = Host::new("kept");
    let nat = Nat::create(TEST_PREFIX, NAT_TIMEOUT).unwrap();
    let this = std::env::current_exe().unwrap();
    let app = host.cgroup("app");
    let mut client = Peer::spawn(nat.client.command(&this), &app);
    let mut command = nat.server.command(&this);
    command.arg(crate::PEER);
    let mut server = Peer::new(Process::spawn("the server", command).unwrap());
    govern(&host, 4, "");
    let _daemon = start(&host);
    let (listener, address) = server.listen(&format!("{}:0", Nat::SERVER_ADDRESS), false);
    let near = client.connect(address);
    let far = server.accept(listener);
    assert_eq!(client.options(near), options(true, 1, 1, 4, 0));

    let kept = eventually_helped(&host, "it is kept alive", |helped| helped["keptAlive"] == 1);

    assert_eq!(kept["usedAgain"], 0);
    assert!(nat.flows().unwrap().len() == 1, "the NAT has not forgotten it");
    // The answer that would have been lost.
    server.send(far);
    assert_eq!(client.receive(near), Ok(SENT));
    let used = eventually_helped(&host, "it is used again", |helped| helped["usedAgain"] == 1);
    assert_eq!(used["keptAlive"], 1);
    assert!(used["longestSilenceSeconds"].as_u64() >= Some(NAT_TIMEOUT.as_secs()), "{used}");
    // It falls silent once more, and that counts once more.
    let again = eventually_helped(&host, "it is kept alive again", |helped| helped["keptAlive"] == 2);
    assert_eq!(again["usedAgain"], 1);
}

pub(super) fn a_silence_without_probes_is_not_kept() {
    let host = Host::new("unkept");
    let app = host.cgroup("app");
    let mut near = host.peer(&app);
    let (_netns, mut far) = far_end(&host, NEAR, FAR);
    // Without a policy that arms: it is looked at all the same.
    let monitor = "mode: Monitor, keepalive: {idle: 1s, interval: 1s, probes: 4}";
    host.write_policies("p.yaml", &document("p", "app", monitor));
    let daemon = start(&host);
    let (client, server, _) = connect(&mut near, &mut far);
    assert_eq!(near.options(client), UNTOUCHED);
    let connections = sockets(&host.netns).unwrap();
    assert!(connections.iter().all(|connection| connection.timer.is_none()), "{connections:?}");

    // Time alone is what is waited for; and then for a look that began afterwards, which the second to end did.
    thread::sleep(NAT_TIMEOUT + Duration::from_secs(1));
    for _ in 0..2 {
        let mark = daemon.mark();
        daemon.wait_line_from(mark, "looked for connections kept alive").unwrap();
    }
    far.send(server);
    assert_eq!(near.receive(client), Ok(SENT));

    let survived = eventually_helped(&host, "a silence is survived", |helped| {
        helped["longestSilenceSeconds"].as_u64() >= Some(NAT_TIMEOUT.as_secs())
    });
    assert_eq!((&survived["keptAlive"], &survived["usedAgain"]), (&0.into(), &0.into()));
}
