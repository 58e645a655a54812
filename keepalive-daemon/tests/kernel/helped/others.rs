//! What is not counted, and what is not there.

use serde_json::json;

use super::{FAR, NEAR, assert_unreachable, command, connect, cut, dead_peers, govern, helped, start};
use crate::{
    peer::{Call, Options},
    support::{Host, far_end, with_privileges},
};

const SO_LINGER: (i32, i32) = (libc::SOL_SOCKET, libc::SO_LINGER);

/// Has the socket's end be a reset.
fn reset_when_closed() -> Call {
    Call::of_bytes(SO_LINGER, [1_i32, 0].iter().flat_map(|word| word.to_ne_bytes()).collect())
}

pub(super) fn what_ends_otherwise_is_not_counted() {
    let host = Host::new("others");
    let app = host.cgroup("app");
    let mut near = host.peer(&app);
    let unselected = host.cgroup("free");
    let mut free = host.peer(&unselected);
    let (netns, mut far) = far_end(&host, NEAR, FAR);
    govern(&host, 5, "");
    let daemon = start(&host);

    // Closed by either end, in order.
    let (client, server, _) = connect(&mut near, &mut far);
    near.close(client);
    assert_eq!(far.receive(server), Ok(0));
    let (client, server, _) = connect(&mut near, &mut far);
    far.close(server);
    assert_eq!(near.receive(client), Ok(0));
    near.close(client);
    // Reset by either end.
    let (client, server, _) = connect(&mut near, &mut far);
    near.call(client, reset_when_closed()).unwrap();
    near.close(client);
    assert_eq!(far.receive(server), Err(libc::ECONNRESET));
    let (client, server, _) = connect(&mut near, &mut far);
    far.call(server, reset_when_closed()).unwrap();
    far.close(server);
    assert_eq!(near.receive(client), Err(libc::ECONNRESET));
    // The one that counts is found dead after another one that nobody governs.
    let (counted, _, _) = connect(&mut near, &mut far);
    let (ungoverned, _, _) = connect(&mut free, &mut far);
    let own = Options {
        keepalive: Some(true),
        idle_s: Some(1),
        interval_s: Some(1),
        probes: Some(1),
        ..Options::default()
    };
    free.set(ungoverned, own);
    cut(&netns);
    assert_unreachable(free.receive(ungoverned));
    assert_unreachable(near.receive(counted));

    assert_eq!(dead_peers(&host, &daemon), json!({"keepalive": 1, "userTimeout": 0, "reset": 0}));
    let cgroups = host.status()["cgroups"].as_array().map(Vec::len);
    assert_eq!(cgroups, Some(1));
}

pub(super) fn where_a_privilege_is_missing_the_rest_goes_on() {
    let host = Host::new("unprivileged");
    let app = host.cgroup("app");
    let mut near = host.peer(&app);
    govern(&host, 4, "");
    let run = with_privileges(&["--bounding-set=-perfmon,-sys_admin"], &command(&host));

    let daemon = host.start_with(run);

    let line = daemon.wait_line("peers that are found dead cannot be counted").unwrap();
    assert!(line.contains("CAP_PERFMON"), "{line}");
    let pair = near.pair();
    assert_eq!(near.options(pair.client).idle_s, Some(1));
    let status = host.status();
    assert_eq!(status["daemon"]["helping"]["findsDeadPeers"], false);
    assert_eq!(status["daemon"]["ready"], true);
    let helped = helped(&host);
    assert_eq!((helped["deadPeers"].is_null(), &helped["keptAlive"]), (true, &json!(0)));
    let shown = String::from_utf8(host.run("status", &[]).stdout).unwrap();
    assert!(shown.contains("peers that are found dead cannot be counted: "), "{shown}");
}
