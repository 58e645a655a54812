use super::*;

const UNKNOWN: Option<u32> = None;

/// A socket with these options; `None` is an option the kernel cannot tell.
struct Fake {
    keepalive: Option<u32>,
    idle: Option<u32>,
    interval: Option<u32>,
    probes: Option<u32>,
    user_timeout: Option<u32>,
}

impl Socket for Fake {
    fn get(&self, option: SocketOption) -> Option<u32> {
        match option {
            SocketOption::Keepalive => self.keepalive,
            SocketOption::Idle => self.idle,
            SocketOption::Interval => self.interval,
            SocketOption::Probes => self.probes,
            SocketOption::UserTimeout => self.user_timeout,
        }
    }
}

/// What the kernel gives a socket nobody touched.
const UNTOUCHED: Fake =
    Fake { keepalive: Some(0), idle: Some(7200), interval: Some(75), probes: Some(9), user_timeout: Some(0) };

const ASKED: Fake = Fake { keepalive: Some(1), ..UNTOUCHED };

const BEFORE_6_1: Fake =
    Fake { keepalive: UNKNOWN, idle: UNKNOWN, interval: UNKNOWN, probes: UNKNOWN, user_timeout: UNKNOWN };

/// A mode, and what is wanted in it.
type Wanted = (Mode, Timers);

fn policy(mode: Mode, user_timeout_ms: u32) -> Wanted {
    (mode, Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms })
}

fn timers(idle_s: u32, interval_s: u32, probes: u32, user_timeout_ms: u32) -> Timers {
    Timers { idle_s, interval_s, probes, user_timeout_ms }
}

#[track_caller]
fn assert_decides((mode, wanted): &Wanted, socket: &Fake, arm: bool, values: Timers, outcome: Outcome) {
    assert_eq!(
        decide(*mode, wanted, socket),
        Decision { changes: Changes { timers: values, arm, ..Changes::NONE }, outcome }
    );
}

#[test]
fn an_untouched_socket_is_armed_with_the_policys_values() {
    for mode in [Mode::FillMissing, Mode::Tighten] {
        assert_decides(&policy(mode, 0), &UNTOUCHED, true, timers(60, 15, 4, 0), Outcome::Arm);
        assert_decides(&policy(mode, 90_000), &UNTOUCHED, true, timers(60, 15, 4, 90_000), Outcome::Arm);
    }
}

#[test]
fn values_an_application_set_without_asking_for_keep_alive_do_not_count() {
    let socket = Fake { idle: Some(10), ..UNTOUCHED };
    assert_decides(&policy(Mode::Tighten, 0), &socket, true, timers(60, 15, 4, 0), Outcome::Arm);
}

#[test]
fn a_user_timeout_the_application_chose_is_only_ever_lowered_and_only_by_tighten() {
    let looser = Fake { user_timeout: Some(100_000), ..UNTOUCHED };
    let tighter = Fake { user_timeout: Some(20_000), ..UNTOUCHED };
    for (mode, socket, expected) in [
        (Mode::FillMissing, &looser, 0),
        (Mode::FillMissing, &tighter, 0),
        (Mode::Tighten, &looser, 90_000),
        (Mode::Tighten, &tighter, 0),
    ] {
        assert_decides(&policy(mode, 90_000), socket, true, timers(60, 15, 4, expected), Outcome::Arm);
    }
}

#[test]
fn fill_missing_leaves_a_socket_alone_whose_application_asked() {
    assert_decides(
        &policy(Mode::FillMissing, 90_000),
        &ASKED,
        false,
        timers(0, 0, 0, 0),
        Outcome::KeepChosen,
    );
}

#[test]
fn tighten_lowers_each_value_that_is_higher_and_no_other() {
    let socket = Fake { idle: Some(300), interval: Some(5), probes: Some(9), ..ASKED };
    assert_decides(&policy(Mode::Tighten, 0), &socket, false, timers(60, 0, 4, 0), Outcome::Tighten);
}

#[test]
fn tighten_sets_a_user_timeout_where_there_is_none_and_lowers_a_looser_one() {
    let tight = Fake { idle: Some(60), interval: Some(15), probes: Some(3), ..ASKED };
    for (current, expected) in [(0, 90_000), (100_000, 90_000)] {
        let socket = Fake { user_timeout: Some(current), ..tight };
        assert_decides(
            &policy(Mode::Tighten, 90_000),
            &socket,
            false,
            timers(0, 0, 0, expected),
            Outcome::Tighten,
        );
    }
    let socket = Fake { user_timeout: Some(20_000), ..tight };
    assert_decides(&policy(Mode::Tighten, 90_000), &socket, false, timers(0, 0, 0, 0), Outcome::KeepTighter);
}

#[test]
fn tighten_sets_no_user_timeout_that_would_let_a_silent_connection_live_longer() {
    for (idle, interval, probes) in [(2, 1, 3), (60, 10, 3)] {
        let socket = Fake { idle: Some(idle), interval: Some(interval), probes: Some(probes), ..ASKED };
        assert_decides(
            &policy(Mode::Tighten, 90_000),
            &socket,
            false,
            timers(0, 0, 0, 0),
            Outcome::KeepTighter,
        );
    }
}

#[test]
fn an_enforced_user_timeout_is_set_again_however_soon_the_probes_would_end() {
    let socket = Fake { idle: Some(2), interval: Some(1), probes: Some(3), ..ASKED };
    let (_, wanted) = policy(Mode::Enforce, 90_000);

    let Decision { changes, outcome } = strengthen(&wanted, &socket);

    assert_eq!((changes.timers, outcome), (timers(0, 0, 0, 90_000), Outcome::Tighten));
}

#[test]
fn tighten_leaves_equal_values_alone() {
    let socket = Fake { idle: Some(60), interval: Some(15), probes: Some(4), ..ASKED };
    assert_decides(&policy(Mode::Tighten, 0), &socket, false, timers(0, 0, 0, 0), Outcome::KeepTighter);
}

#[test]
fn monitor_changes_nothing_and_says_what_would_happen() {
    let tight = Fake { idle: Some(60), interval: Some(15), probes: Some(4), ..ASKED };
    for (socket, outcome) in [
        (&UNTOUCHED, Outcome::WouldArm),
        (&ASKED, Outcome::WouldTighten),
        (&tight, Outcome::KeepTighter),
        (&BEFORE_6_1, Outcome::WouldArm),
    ] {
        assert_decides(&policy(Mode::Monitor, 0), socket, false, timers(0, 0, 0, 0), outcome);
    }
}

#[test]
fn where_options_cannot_be_read_the_policys_values_are_set_and_counted_apart() {
    for mode in [Mode::FillMissing, Mode::Tighten] {
        assert_decides(
            &policy(mode, 90_000),
            &BEFORE_6_1,
            true,
            timers(60, 15, 4, 90_000),
            Outcome::ArmBlind,
        );
    }
}
