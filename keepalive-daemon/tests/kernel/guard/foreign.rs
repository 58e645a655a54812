//! setsockopt programs of other tools, in the cgroups above and below a guarded one and in itself.

use super::{ENFORCED, IDLE, Site};
use crate::{
    peer::Call,
    support::{
        document,
        foreign::{Effect, Foreign, Way},
        objects, options,
    },
};

pub(super) fn programs_above_have_the_last_word_and_programs_below_the_first() {
    use Effect::{Deny, Length, Rewrite};
    let denied = Err(libc::EPERM);
    for (effect, below, above) in [
        // What a call for 7200 answers and the socket has then, with the program below and with it above.
        (Rewrite(7000), (Ok(()), 60), (Ok(()), 7000)),
        (Rewrite(30), (Ok(()), 30), (Ok(()), 30)),
        (Deny, (denied, 60), (denied, 60)),
        // Success without effect.
        (Length(-1), (Ok(()), 60), (Ok(()), 60)),
        // Undoes what was rewritten before: below there is nothing to undo, and nothing to be seen either.
        (Length(0), (Ok(()), 7200), (Ok(()), 7200)),
    ] {
        let site = Site::new("programs");
        let _daemon = site.start();
        let program = Foreign::load_setsockopt(IDLE, effect);
        for (name, cgroup, expected) in [("below", &site.below, below), ("above", &site.above, above)] {
            let _attachment = program.attach(cgroup, Way::Link).unwrap();
            let (mut peer, pair) = site.connected(&site.below);
            // It has the policy's value, which is what a call without effect leaves.
            assert_eq!(peer.read(pair.client, IDLE), Ok(60));

            let answer = peer.call(pair.client, Call::new(IDLE, 7200));

            let (expected_answer, expected_idle) = expected;
            assert_eq!(answer, expected_answer, "{effect:?} {name}");
            assert_eq!(peer.read(pair.client, IDLE), Ok(expected_idle), "{effect:?} {name}");
        }
    }
}

pub(super) fn a_guard_that_cannot_be_attached_is_reported_and_the_rest_holds() {
    let site = Site::new("in-the-way");
    let program = Foreign::load_setsockopt(IDLE, Effect::Rewrite(50));
    for (way, reason) in
        [(Way::Alone, "was attached to be alone there"), (Way::Override, "attaching here would silence it")]
    {
        let attachment = program.attach(&site.above, way).unwrap();
        let daemon = site.host.start_with(site.host.command("run"));
        daemon.wait_line("Enforce does not hold here").unwrap();

        let (mut peer, pair) = site.connected(&site.governed);
        assert_eq!(peer.options(pair.client), options(true, 60, 15, 4, 90_000), "{way:?}: established");
        peer.call(pair.client, Call::new(IDLE, 7200)).unwrap();
        assert_eq!(peer.read(pair.client, IDLE), Ok(50), "{way:?}: the other tool's program goes on");
        let refused = &site.host.status()["refused"][0];
        let told = refused["reason"].as_str().unwrap();
        assert!(told.contains(reason) && told.contains("setsockopt program"), "{told}");
        assert_eq!(objects::links(&site.governed).len(), 1);

        drop(attachment);
        // Any change has everything tried again.
        let mark = daemon.mark();
        site.host.write_policies("other.yaml", &document("other", "nowhere", ENFORCED));
        daemon.wait_line_from(mark, " guards what applications set later").unwrap();
        peer.call(pair.client, Call::new(IDLE, 7200)).unwrap();
        assert_eq!(peer.read(pair.client, IDLE), Ok(60), "{way:?}: once it is gone");
        daemon.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
        daemon.wait().unwrap();
        let cleaned = site.host.run("cleanup", &[]);
        assert!(cleaned.status.success(), "{cleaned:?}");
    }
}
