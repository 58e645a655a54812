use std::sync::Arc;

use super::*;

const WANTED: Timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 };

fn policy(mode: Mode) -> Policy {
    Policy::new(mode, Direction::Both, WANTED).of_cgroup(1)
}

fn governed_by(policy: Policy, open: &str) -> Governing {
    let name = "p".to_owned();
    Governing::Policy(Arc::new(Ruling { name, policy, rules: None, open: Some(open.to_owned()) }))
}

fn options(keepalive: u32, idle_s: u32) -> Observed {
    Observed { cookie: 7, timers: Timers { idle_s, ..WANTED }, keepalive, unused: 0 }
}

fn facts(options: Option<Observed>) -> Facts {
    Facts {
        phase: Phase::Open,
        direction: Direction::Outbound,
        remote: Remote::v4(0x0a00_0009, 5432),
        is_on: options.map(|options| options.keepalive != 0),
        options,
    }
}

/// What comes of an open connection with these options under a policy that was swept.
fn of(mode: Mode, keepalive: u32, idle_s: u32) -> (Verdict, String) {
    verdict(&governed_by(policy(mode), "swept"), &facts(Some(options(keepalive, idle_s))))
}

#[test]
fn who_has_the_policys_values_has_them_from_it_unless_it_sets_nothing() {
    for mode in [Mode::FillMissing, Mode::Tighten, Mode::Enforce] {
        assert_eq!(of(mode, 1, 60).0, Verdict::Policy, "{mode:?}");
    }
    assert_eq!(of(Mode::Monitor, 1, 60).0, Verdict::Application);
}

#[test]
fn values_of_the_applications_own_are_told_by_what_the_mode_makes_of_them() {
    for (mode, idle_s, why) in [
        (Mode::FillMissing, 30, "FillMissing leaves"),
        (Mode::FillMissing, 7200, "FillMissing leaves"),
        (Mode::Tighten, 30, "as tight as the policy's or tighter"),
        (Mode::Tighten, 7200, "looser than the policy's: the application changed it since"),
        (Mode::Enforce, 30, "other than the policy's"),
        (Mode::Monitor, 7200, "Tighten would lower"),
        (Mode::Monitor, 30, "tight enough"),
    ] {
        let (verdict, said) = of(mode, 1, idle_s);
        assert_eq!(verdict, Verdict::Application, "{mode:?} {idle_s}");
        assert!(said.contains(why), "{mode:?} {idle_s}: {said}");
    }
}

#[test]
fn why_keep_alive_is_off_depends_on_what_became_of_open_connections() {
    for (open, why) in [
        ("swept", "the application changed it since"),
        ("pending", "its sweep is to come"),
        ("running", "its sweep is to come"),
        ("partial", "out of reach of its sweep, or changed since"),
        ("off", "leaves open connections alone"),
        ("unavailable", "cannot be swept"),
    ] {
        let (verdict, said) =
            verdict(&governed_by(policy(Mode::Tighten), open), &facts(Some(options(0, 7200))));
        assert_eq!(verdict, Verdict::Off, "{open}");
        assert!(said.contains(why), "{open}: {said}");
    }
    let (verdict, said) = of(Mode::Monitor, 0, 7200);
    assert!(verdict == Verdict::Off && said.starts_with("Monitor"), "{said}");
}

#[test]
fn what_is_not_open_is_off_for_that() {
    let governing = governed_by(policy(Mode::Tighten), "swept");
    for (phase, why) in [(Phase::Opening, "not established"), (Phase::Closing, "closing")] {
        let (_, said) = verdict(&governing, &Facts { phase, ..facts(Some(options(0, 7200))) });
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn what_the_policy_is_not_for_says_so_whatever_it_has() {
    let inbound = Policy::new(Mode::Tighten, Direction::Inbound, WANTED).of_cgroup(1);
    let unruled = policy(Mode::Tighten).to_destinations(9);
    for (policy, why) in [
        (inbound, "inbound connections only"),
        (unruled, "rules for destinations are not known"),
        (Policy::exempt(1), "opted out"),
        (Policy::NOTHING, "not in force yet"),
    ] {
        for (keepalive, wanted) in [(0, Verdict::Off), (1, Verdict::Application)] {
            let (verdict, said) =
                verdict(&governed_by(policy, "swept"), &facts(Some(options(keepalive, 60))));
            assert!(verdict == wanted && said.contains(why), "{verdict:?}: {said}");
        }
    }
}

#[test]
fn without_a_policy_an_application_is_on_its_own() {
    for (keepalive, wanted) in [(0, Verdict::Off), (1, Verdict::Application)] {
        let facts = facts(Some(options(keepalive, 60)));
        assert_eq!(verdict(&Governing::Nobody, &facts), (wanted, "no policy governs it".to_owned()));
        assert!(verdict(&Governing::Exec, &facts).1.contains("exec"));
    }
}

#[test]
fn what_cannot_be_read_is_not_guessed() {
    let governing = governed_by(policy(Mode::Tighten), "swept");

    let (unread, why) = verdict(&governing, &facts(None));
    let (by_timer, _) = verdict(&governing, &Facts { is_on: Some(true), ..facts(None) });
    let (off, _) = verdict(&governing, &Facts { is_on: Some(false), ..facts(None) });

    assert_eq!([unread, by_timer, off], [Verdict::Unknown, Verdict::Unknown, Verdict::Off]);
    assert!(why.contains("cannot be read"), "{why}");
}

#[test]
fn a_user_timeout_counts_where_the_policy_has_one() {
    let timers = Timers { user_timeout_ms: 120_000, ..WANTED };
    let policy = Policy::new(Mode::Tighten, Direction::Both, timers).of_cgroup(1);

    let (verdict, _) = verdict(&governed_by(policy, "swept"), &facts(Some(options(1, 60))));

    assert_eq!(verdict, Verdict::Application);
}
