use super::*;

/// A socket with these options, in the order of [`SocketOption`].
#[derive(Clone, Copy)]
struct Fake([Option<u32>; 5]);

impl Fake {
    const fn new(keepalive: u32, timers: Timers) -> Self {
        let Timers { idle_s, interval_s, probes, user_timeout_ms } = timers;
        Self([Some(keepalive), Some(idle_s), Some(interval_s), Some(probes), Some(user_timeout_ms)])
    }
}

impl Socket for Fake {
    fn get(&self, option: SocketOption) -> Option<u32> {
        self.0[option as usize]
    }
}

const fn timers(idle_s: u32, interval_s: u32, probes: u32, user_timeout_ms: u32) -> Timers {
    Timers { idle_s, interval_s, probes, user_timeout_ms }
}

/// What the kernel gives a socket nobody touched.
const UNTOUCHED: Fake = Fake::new(0, timers(7200, 75, 9, 0));
const BLIND: Fake = Fake([None; 5]);
const V1: Timers = timers(60, 15, 4, 120_000);
const LOOSER: Timers = timers(300, 30, 5, 450_000);

fn target(mode: Mode, timers: Timers) -> Target {
    Target {
        sweep: Sweep::Apply,
        has_previous: 0,
        policy: Policy::new(mode, Direction::Both, timers),
        previous: Policy::NOTHING,
    }
}

/// A policy of `mode` that took the place of one that tightened to [`V1`].
fn after_v1(mode: Mode, timers: Timers) -> Target {
    let previous = Policy::new(Mode::Tighten, Direction::Both, V1);
    Target { has_previous: 1, previous, ..target(mode, timers) }
}

/// The decision where every policy is for every destination.
fn judged(target: &Target, socket: &Fake) -> Decision {
    let [wanted, previous] = [target.policy, target.previous].map(|policy| Some(policy.timers()));
    judge(target, Direction::Inbound, wanted, previous, socket)
}

fn changes(timers: Timers, arm: bool) -> Changes {
    Changes { timers, arm, ..Changes::NONE }
}

#[test]
fn an_open_connection_gets_what_a_new_one_gets() {
    for (mode, socket, expected) in [
        (Mode::Tighten, UNTOUCHED, (changes(V1, true), Outcome::Arm)),
        (Mode::FillMissing, Fake::new(1, LOOSER), (Changes::NONE, Outcome::KeepChosen)),
        (Mode::Tighten, Fake::new(1, LOOSER), (changes(V1, false), Outcome::Tighten)),
        (
            Mode::Enforce,
            Fake::new(1, timers(10, 15, 4, 0)),
            (changes(timers(60, 0, 0, 120_000), false), Outcome::Override),
        ),
        (Mode::Monitor, UNTOUCHED, (Changes::NONE, Outcome::WouldArm)),
        (Mode::Tighten, BLIND, (changes(V1, true), Outcome::ArmBlind)),
    ] {
        let Decision { changes, outcome } = judged(&target(mode, V1), &socket);
        assert_eq!((changes, outcome), expected, "{mode:?}");
    }
}

#[test]
fn values_of_the_policy_before_give_way_to_looser_ones() {
    for mode in [Mode::FillMissing, Mode::Tighten, Mode::Enforce] {
        let decision = judged(&after_v1(mode, LOOSER), &Fake::new(1, V1));
        assert_eq!(decision, Decision { changes: changes(LOOSER, true), outcome: Outcome::Arm }, "{mode:?}");
    }
}

#[test]
fn a_user_timeout_that_the_policy_no_longer_has_is_taken_back() {
    let next = timers(60, 15, 4, 0);

    let decision = judged(&after_v1(Mode::Tighten, next), &Fake::new(1, V1));

    assert_eq!(decision.changes, Changes { clear_user_timeout: true, ..changes(next, true) });
}

#[test]
fn one_that_the_application_chose_stays() {
    let previous = timers(60, 15, 4, 0);
    let mut target = after_v1(Mode::Tighten, timers(30, 15, 4, 0));
    target.previous = Policy::new(Mode::Tighten, Direction::Both, previous);

    let decision = judged(&target, &Fake::new(1, V1));

    assert!(!decision.changes.clear_user_timeout);
    assert_eq!(decision.outcome, Outcome::Arm);
}

#[test]
fn a_user_timeout_of_the_applications_is_no_longer_for_a_policy_that_begins_to_have_one() {
    let [none, longer] = [0, 600_000].map(|user_timeout_ms| timers(60, 15, 4, user_timeout_ms));
    for (mode, set) in [(Mode::FillMissing, 0), (Mode::Tighten, 0), (Mode::Enforce, 600_000)] {
        let previous = Policy::new(mode, Direction::Both, none);
        let target = Target { previous, ..after_v1(mode, longer) };

        let Decision { changes, outcome } = judged(&target, &Fake::new(1, V1));

        assert_eq!((changes.timers.user_timeout_ms, outcome), (set, Outcome::Arm), "{mode:?}");
    }
}

#[test]
fn the_same_values_again_change_nothing() {
    for mode in [Mode::FillMissing, Mode::Tighten, Mode::Enforce] {
        let decision = judged(&after_v1(mode, V1), &Fake::new(1, V1));
        assert_eq!(decision, Decision { changes: Changes::NONE, outcome: Outcome::KeepTighter }, "{mode:?}");
    }
}

#[test]
fn values_that_are_not_the_policys_of_before_are_the_applications() {
    let other = timers(60, 15, 5, 120_000);
    for socket in [Fake::new(1, other), Fake::new(0, V1)] {
        let with = judged(&after_v1(Mode::Tighten, LOOSER), &socket);
        let without = judged(&target(Mode::Tighten, LOOSER), &socket);
        assert_eq!(with, without);
    }
}

#[test]
fn a_policy_before_that_set_nothing_there_gave_nothing() {
    for previous in [
        Policy::new(Mode::Monitor, Direction::Both, V1),
        Policy::new(Mode::Nothing, Direction::Both, V1),
        Policy::new(Mode::Tighten, Direction::Outbound, V1),
    ] {
        let target = Target { previous, ..after_v1(Mode::FillMissing, LOOSER) };
        assert_eq!(judged(&target, &Fake::new(1, V1)).outcome, Outcome::KeepChosen, "{previous:?}");
    }
    // One that was not for this destination.
    let target = after_v1(Mode::FillMissing, LOOSER);
    let decision = judge(&target, Direction::Inbound, Some(LOOSER), None, &Fake::new(1, V1));
    assert_eq!(decision.outcome, Outcome::KeepChosen);
}

#[test]
fn other_directions_and_destinations_are_left_alone() {
    let outbound = Policy::new(Mode::Enforce, Direction::Outbound, V1);
    let target = Target { policy: outbound, ..target(Mode::Enforce, V1) };

    assert_eq!(judged(&target, &UNTOUCHED).outcome, Outcome::KeepDirection);
    let elsewhere = judge(&target, Direction::Outbound, None, None, &UNTOUCHED);
    assert_eq!(elsewhere, Decision { changes: Changes::NONE, outcome: Outcome::KeepDestination });
}

#[test]
fn a_recheck_puts_right_what_is_weaker_and_nothing_else() {
    let target = Target { sweep: Sweep::Recheck, ..target(Mode::Enforce, V1) };

    let tighter = judged(&target, &Fake::new(1, timers(10, 5, 2, 20_000)));
    assert_eq!(tighter, Decision { changes: Changes::NONE, outcome: Outcome::KeepTighter });
    let weaker = judged(&target, &Fake::new(1, timers(10, 5, 2, 0)));
    assert_eq!(
        weaker,
        Decision { changes: changes(timers(0, 0, 0, 120_000), false), outcome: Outcome::Tighten }
    );
    assert_eq!(judged(&target, &UNTOUCHED).outcome, Outcome::Arm);
}

#[test]
fn where_nothing_governs_any_more_it_is_told_what_keeps_the_values() {
    let target = Target { sweep: Sweep::Tell, ..after_v1(Mode::Nothing, Timers::NONE) };

    for (socket, outcome) in [
        (Fake::new(1, V1), Outcome::KeepTighter),
        (Fake::new(1, LOOSER), Outcome::KeepChosen),
        (UNTOUCHED, Outcome::KeepChosen),
    ] {
        assert_eq!(judged(&target, &socket), Decision { changes: Changes::NONE, outcome });
    }
}

#[test]
fn the_layouts_have_no_padding() {
    assert_eq!(size_of::<Target>(), 2 * size_of::<u32>() + 2 * size_of::<Policy>());
    assert_eq!(
        SWEPT_BYTES,
        2 * 8 + 2 * 16 + 4 * 4 + size_of::<Timers>() + 2 * 4 + size_of::<Timers>() + 2 * 4
    );
    let words = after_v1(Mode::Enforce, LOOSER).to_words();
    assert_eq!(words[0], u64::from_ne_bytes([0, 0, 0, 0, 1, 0, 0, 0]));
    assert_eq!(
        words[1..][..crate::POLICY_WORDS],
        Policy::new(Mode::Enforce, Direction::Both, LOOSER).to_words()
    );
}

fn swept() -> Swept {
    Swept {
        cookie: 1 << 40,
        governor: 42,
        local: [1; 16],
        remote: [2; 16],
        local_port: 8080,
        remote_port: 40_000,
        direction: Direction::Inbound,
        outcome: Outcome::WouldTighten,
        set: V1,
        arms: 1,
        clears_user_timeout: 0,
        before: LOOSER,
        was_on: 1,
        errno: 22,
    }
}

fn to_bytes(swept: Swept) -> [u8; SWEPT_BYTES] {
    // SAFETY: plain data of this size without padding, as a test says.
    unsafe { core::mem::transmute(swept) }
}

#[test]
fn what_the_program_writes_reads_back() {
    assert_eq!(Swept::from_bytes(&to_bytes(swept())), Some(swept()));
}

#[test]
fn what_it_cannot_have_written_is_refused() {
    for (offset, value) in [(56, 0), (56, 3), (60, 10), (63, 1)] {
        let mut bytes = to_bytes(swept());
        bytes[offset] = value;
        assert_eq!(Swept::from_bytes(&bytes), None, "{value} at {offset}");
    }
}
