//! More than two levels, the root among them, and inner policies that leave connections alone.

use super::{OUTER, Values, fresh};
use crate::{
    peer::Options,
    support::{Host, UNTOUCHED, document, options},
};

const MIDDLE: Values = Values::new(90, 10, 8, 60);
const INNER: Values = Values::new(75, 25, 3, 0);

pub(super) fn each_of_three_levels_governs_its_own() {
    let values = [OUTER, MIDDLE, INNER];
    let paths = ["a", "a/b", "a/b/c"];
    // Which of the levels a policy selects, and which level's policy then governs each.
    for (selected, governing) in [
        ([true, true, true], [Some(0), Some(1), Some(2)]),
        ([true, true, false], [Some(0), Some(1), Some(1)]),
        ([true, false, true], [Some(0), Some(0), Some(2)]),
        ([false, true, true], [None, Some(1), Some(2)]),
    ] {
        let host = Host::new("levels");
        let cgroups = paths.map(|path| host.cgroup(path));
        for level in (0..3).filter(|level| selected[*level]) {
            let policy = values[level].document(&format!("level-{level}"), paths[level]);
            host.write_policies(&format!("{level}.yaml"), &policy);
        }
        let _daemon = host.start();
        for level in 0..3 {
            let expected = governing[level].map_or(UNTOUCHED, |governing: usize| values[governing].armed());
            // More than one connection: a claim that stayed behind would show on what follows.
            for nth in 0..3 {
                let what = format!("{selected:?}: connection {nth} in {}", paths[level]);
                assert_eq!(fresh(&host, &cgroups[level]), [expected; 2], "{what}");
            }
        }
    }
}

pub(super) fn the_root_yields_to_what_is_inside() {
    let host = Host::new("root");
    let (inside, other) = (host.cgroup("app"), host.cgroup("other"));
    let policies = [OUTER.document("root", "/"), MIDDLE.document("app", "app")];
    host.write_policies("p.yaml", &policies.concat());
    let _daemon = host.start();

    assert_eq!(fresh(&host, &inside), [MIDDLE.armed(); 2]);
    assert_eq!(fresh(&host, &other), [OUTER.armed(); 2]);
    assert_eq!(fresh(&host, &host.root), [OUTER.armed(); 2]);
}

pub(super) fn an_inner_policy_that_does_nothing_still_keeps_the_outer_one_off() {
    struct Case {
        inner: &'static str,
        asked: Options,
        outbound: Options,
        inbound: Options,
    }
    const NOTHING: Options =
        Options { keepalive: None, idle_s: None, interval_s: None, probes: None, user_timeout_ms: None };
    const CHOSEN: Options = options(true, 300, 30, 9, 0);
    let armed = options(true, 75, 15, 4, 0);
    for Case { inner, asked, outbound, inbound } in [
        Case { inner: "mode: Monitor", asked: NOTHING, outbound: UNTOUCHED, inbound: UNTOUCHED },
        Case { inner: "mode: Monitor", asked: CHOSEN, outbound: CHOSEN, inbound: CHOSEN },
        Case { inner: "mode: FillMissing", asked: CHOSEN, outbound: CHOSEN, inbound: CHOSEN },
        Case { inner: "direction: Outbound", asked: NOTHING, outbound: armed, inbound: UNTOUCHED },
        Case { inner: "direction: Inbound", asked: NOTHING, outbound: UNTOUCHED, inbound: armed },
    ] {
        let host = Host::new("keptoff");
        let cgroup = host.cgroup("slice/service");
        let spec = format!("{inner}, keepalive: {{idle: 75s}}");
        let policies = [OUTER.document("outer", "slice"), document("inner", "slice/service", &spec)];
        host.write_policies("p.yaml", &policies.concat());
        let _daemon = host.start();
        let mut peer = host.peer(&cgroup);
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = peer.open(any, false);
        // User timeouts apart: those of the kernel's default can only be asked for by not asking.
        let asked = Options { user_timeout_ms: None, ..asked };
        peer.set(listener, asked);
        let address = peer.listen_with(listener, any);
        let client = peer.open(address, false);
        peer.set(client, asked);

        peer.connect_with(client, address);
        let server = peer.accept(listener);

        assert_eq!(peer.options(client), outbound, "{inner}, outbound, asked for {asked:?}");
        assert_eq!(peer.options(server), inbound, "{inner}, inbound, asked for {asked:?}");
    }
}
