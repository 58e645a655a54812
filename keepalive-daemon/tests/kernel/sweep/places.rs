//! Where connections are: network namespaces, cgroups below, queues of listeners.

use std::process::Command;

use xtask::lab::{Netns, TEST_PREFIX};

use super::{app, armed, both, govern, swept, values};
use crate::support::{Peer, UNTOUCHED, document};

pub(super) fn connections_of_all_network_namespaces() {
    let (host, app) = app("namespaces");
    let beside = host.cgroup("beside");
    let other = host.cgroup("other");
    let namespaces = ["one", "two"].map(|label| Netns::create(TEST_PREFIX, label).unwrap());
    let program = std::env::current_exe().unwrap();
    let mut governed = vec![host.peer(&app), host.peer(&beside)];
    governed.extend(namespaces.iter().map(|netns| Peer::spawn(netns.command(&program), &app)));
    // As a pod with `hostNetwork`.
    governed.push(Peer::spawn(Command::new(&program), &app));
    let mut ungoverned = [host.peer(&other), Peer::spawn(Command::new(&program), &other)];
    let pairs: Vec<_> = governed.iter_mut().map(Peer::pair).collect();
    let left_alone: Vec<_> = ungoverned.iter_mut().map(Peer::pair).collect();
    host.write_policies("p.yaml", &document("p", "{app,beside}", &values(60, "")));

    let _daemon = host.start();

    assert_eq!(swept(&host, "app", 60)["armed"], 8);
    assert_eq!(swept(&host, "beside", 60)["armed"], 2);
    for (peer, pair) in governed.iter_mut().zip(pairs) {
        assert_eq!(both(peer, pair), [armed(60); 2]);
    }
    for (peer, pair) in ungoverned.iter_mut().zip(left_alone) {
        assert_eq!(both(peer, pair), [UNTOUCHED; 2]);
    }
}

pub(super) fn a_cgroup_governed_inside_has_its_own_policy_and_gives_it_back() {
    let (host, app) = app("nested");
    let [child, inner, below] = ["app/child", "app/inner", "app/inner/below"].map(|path| host.cgroup(path));
    let mut peers = [&app, &child, &inner, &below].map(|cgroup| host.peer(cgroup));
    let pairs = peers.each_mut().map(Peer::pair);
    govern(&host, 60, "");
    // Looser than the one above.
    host.write_policies("inner.yaml", &document("inner", "app/inner", &values(300, "")));
    let found = |peers: &mut [Peer; 4]| -> Vec<_> {
        peers.iter_mut().zip(pairs).flat_map(|(peer, pair)| both(peer, pair)).collect()
    };
    let expected =
        |idle: [u64; 4]| -> Vec<_> { idle.into_iter().flat_map(|idle| [armed(idle); 2]).collect() };

    let daemon = host.start();

    assert_eq!(swept(&host, "app", 60)["armed"], 4);
    assert_eq!(swept(&host, "app/inner", 300)["armed"], 4);
    assert_eq!(found(&mut peers), expected([60, 60, 300, 300]));

    let mark = daemon.mark();
    std::fs::remove_file(host.policies().join("inner.yaml")).unwrap();
    daemon.wait_line_from(mark, "swept open connections").unwrap();
    assert_eq!(found(&mut peers), expected([60; 4]), "what governs now takes the values of what did back");

    let mark = daemon.mark();
    host.write_policies("inner.yaml", &document("inner", "app/inner", &values(300, "")));
    daemon.wait_line_from(mark, "swept open connections").unwrap();
    assert_eq!(found(&mut peers), expected([60, 60, 300, 300]));
}

pub(super) fn a_connection_that_nobody_accepted_yet() {
    let (host, app) = app("queue");
    let mut peer = host.peer(&app);
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    let client = peer.connect(address);
    govern(&host, 60, "");

    let _daemon = host.start();

    assert_eq!(swept(&host, "app", 60)["armed"], 2);
    let server = peer.accept(listener);
    assert_eq!([client, server].map(|end| peer.options(end)), [armed(60); 2]);
    assert_eq!(peer.options(listener), UNTOUCHED, "a listener is no connection");
}
