//! Policies of a cgroup and of one inside it.

use xtask::lab::Cgroup;

use super::{HELD, LOOSER, VALUES, set_both};
use crate::support::{Host, document, options};

/// A host with policies of a slice and of a service in it; that service's cgroup and the one beside it.
fn host_of(label: &str, outer: &str, inner: &str) -> (Host, [Cgroup; 2]) {
    let host = Host::new(label);
    let cgroups = ["slice/service", "slice/beside"].map(|path| host.cgroup(path));
    host.write_policies(
        "p.yaml",
        &[document("outer", "slice", outer), document("inner", "slice/service", inner)].concat(),
    );
    (host, cgroups)
}

pub(super) fn the_deepest_of_two_enforcing_policies_holds() {
    let outer = format!("{VALUES}, mode: Enforce");
    for (inner, held) in [
        (
            "keepalive: {idle: 30s, interval: 9s, probes: 3}, userTimeout: 40s",
            options(true, 30, 9, 3, 40_000),
        ),
        ("keepalive: {idle: 300s, interval: 50s, probes: 7}", options(true, 300, 50, 7, 200_000)),
    ] {
        let (host, cgroups) = host_of("two", &outer, &format!("{inner}, mode: Enforce"));
        let _daemon = host.start();
        let [mut inside, mut beside] = cgroups.each_ref().map(|cgroup| host.peer(cgroup));
        let [pair, other] = [inside.pair(), beside.pair()];

        assert_eq!(set_both(&mut inside, pair, LOOSER), [held; 2], "{inner}");
        assert_eq!(set_both(&mut beside, other, LOOSER), [HELD; 2], "{inner}");
    }
}

pub(super) fn an_enforcing_policy_yields_to_one_below_that_does_not() {
    let outer = format!("{VALUES}, mode: Enforce");
    for mode in ["FillMissing", "Tighten", "Monitor"] {
        let inner = format!("keepalive: {{idle: 300s, interval: 50s, probes: 7}}, mode: {mode}");
        let (host, cgroups) = host_of("yields", &outer, &inner);
        let _daemon = host.start_swept();
        let mut inside = host.peer(&cgroups[0]);
        let pair = inside.pair();

        assert_eq!(set_both(&mut inside, pair, LOOSER), [LOOSER; 2], "{mode}");
    }
}
