//! Programs attached by a link or with `BPF_F_ALLOW_MULTI`.

use super::{ARMED, Connection, Site, connect};
use crate::support::{
    UNTOUCHED,
    foreign::{Foreign, Way},
    objects,
};

pub(super) fn a_program_that_shares_keeps_its_replies_and_ours_runs_too() {
    for way in [Way::Multi, Way::Link] {
        for place in ["above", "on the governed cgroup", "below"] {
            for ours_first in [false, true] {
                let case = format!("{way:?}, {place}, ours first: {ours_first}");
                let Site { host, above, governed, below } = &Site::new("sharing");
                let (theirs_on, within) = match place {
                    "above" => (above, governed),
                    "below" => (below, below),
                    _ => (governed, governed),
                };
                let foreign = Foreign::load(1);
                let both = Connection { options: ARMED, replied: true };
                let daemon = ours_first.then(|| host.start());
                let _theirs = foreign.attach(theirs_on, way).unwrap();
                let alone = Connection { options: UNTOUCHED, replied: true };
                let expected = if ours_first { &both } else { &alone };
                assert_eq!(connect(host, within), *expected, "{case}");

                let _daemon = daemon.unwrap_or_else(|| host.start());

                assert_eq!(connect(host, within), both, "{case}");
                assert_eq!(
                    objects::links(governed).len(),
                    if (place, way) == ("on the governed cgroup", Way::Link) { 2 } else { 1 },
                    "{case}"
                );
                assert!(objects::attached(theirs_on).contains(&foreign.id().into()), "{case}");
            }
        }
    }
}

pub(super) fn a_verdict_that_refuses_its_own_replies_does_so_beside_ours() {
    let Site { host, above: _, governed, below: _ } = &Site::new("verdict");
    let foreign = Foreign::load(0);
    let _theirs = foreign.attach(governed, Way::Multi).unwrap();
    assert_eq!(connect(host, governed), Connection { options: UNTOUCHED, replied: false });

    let _daemon = host.start();

    // A later program's 1 does not take back an earlier one's 0.
    assert_eq!(connect(host, governed), Connection { options: ARMED, replied: false });
}
