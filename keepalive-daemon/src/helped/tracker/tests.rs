use proptest::prelude::*;

use super::*;

const SILENT_MS: u32 = 10_000;

/// A connection whose times are known.
#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    sent: i64,
    received: i64,
    acknowledged: i64,
}

impl Connection {
    /// One that carried data at this moment.
    const fn used(at: i64) -> Self {
        Self { sent: at, received: at, acknowledged: at }
    }

    fn seen_at(&self, at: i64) -> Seen {
        let age = |moment: i64| u32::try_from((at - moment) % WRAP_MS).expect("it is past");
        Seen {
            cookie: 7,
            sent_ms: age(self.sent),
            received_ms: age(self.received),
            acknowledged_ms: age(self.acknowledged),
            is_probed: true,
        }
    }
}

const fn exactly(at: i64) -> Moment {
    Moment { from: at, to: at }
}

/// Looks at the connection every two seconds of these, as its probes are answered every so many, and ends with what came
/// of it.
fn watch(
    tracker: &mut Tracker,
    connection: &mut Connection,
    seconds: std::ops::Range<i64>,
    every: i64,
) -> Vec<Gain> {
    let mut gains = Vec::new();
    for second in seconds.step_by(2) {
        let silent = second * 1000 - connection.received.max(connection.sent);
        connection.acknowledged = connection.acknowledged.max(second * 1000 - silent % (every * 1000));
        gains.push(tracker.look(&connection.seen_at(second * 1000), exactly(second * 1000)));
        tracker.end();
    }
    gains
}

#[test]
fn a_silence_with_answered_probes_counts_once_and_its_end_too() {
    let (mut tracker, mut connection) = (Tracker::new(SILENT_MS), Connection::used(0));

    let gains = watch(&mut tracker, &mut connection, 0..40, 3);

    let kept: Vec<usize> = (0..gains.len()).filter(|at| gains[*at].is_kept).collect();
    assert_eq!(kept, [6], "a probe was answered after 12 seconds");
    assert_eq!(gains.last().map(|gain| gain.survived_ms), Some(36_000));
    let used = tracker.look(&Connection::used(41_000).seen_at(42_000), exactly(42_000));
    assert_eq!(used, Gain { is_kept: false, is_used: true, survived_ms: 38_000 });
    let again = tracker.look(&Connection::used(41_000).seen_at(44_000), exactly(44_000));
    assert_eq!(again, Gain::default());
}

#[test]
fn a_silence_that_nobody_probes_is_survived_and_not_kept() {
    let mut tracker = Tracker::new(SILENT_MS);
    let connection = Connection::used(0);
    for second in [0, 5, 10, 15, 20] {
        assert_eq!(tracker.look(&connection.seen_at(second * 1000), exactly(second * 1000)), Gain::default());
    }

    let gain = tracker.look(&Connection::used(21_000).seen_at(22_000), exactly(22_000));

    assert_eq!(gain, Gain { is_kept: false, is_used: false, survived_ms: 20_000 });
}

#[test]
fn probes_that_come_after_a_middlebox_forgot_prove_nothing() {
    let (mut tracker, mut connection) = (Tracker::new(SILENT_MS), Connection::used(0));

    let gains = watch(&mut tracker, &mut connection, 0..200, 15);

    assert!(gains.iter().all(|gain| !gain.is_kept));
    assert_eq!(gains.last().map(|gain| gain.survived_ms), Some(195_000));
}

#[test]
fn one_that_was_silent_for_long_before_it_was_seen_counts_from_its_last_probe() {
    let (mut tracker, mut connection) = (Tracker::new(SILENT_MS), Connection::used(0));

    let gains = watch(&mut tracker, &mut connection, 100..130, 3);

    assert_eq!((gains[0].survived_ms, gains[0].is_kept), (99_000, false));
    let kept: Vec<usize> = (0..gains.len()).filter(|at| gains[*at].is_kept).collect();
    assert_eq!(kept, [6]);
}

#[test]
fn what_is_sent_into_silence_proves_nothing_before_it_is_acknowledged() {
    let (mut tracker, mut connection) = (Tracker::new(SILENT_MS), Connection::used(0));
    watch(&mut tracker, &mut connection, 0..20, 3);
    connection.sent = 20_000;
    for second in [21, 23] {
        let gain = tracker.look(&connection.seen_at(second * 1000), exactly(second * 1000));
        assert_eq!(gain, Gain::default());
    }

    connection.acknowledged = 24_000;
    let gain = tracker.look(&connection.seen_at(25_000), exactly(25_000));

    assert_eq!(gain, Gain { is_kept: false, is_used: true, survived_ms: 18_000 });
}

#[test]
fn what_cannot_be_told_from_the_last_data_is_no_new_data() {
    let mut tracker = Tracker::new(SILENT_MS);
    let connection = Connection::used(0);
    tracker.look(&connection.seen_at(1000), Moment { from: 700, to: 1300 });

    let gain = tracker.look(&connection.seen_at(2000), Moment { from: 1800, to: 2600 });

    assert_eq!(gain, Gain::default());
}

#[test]
fn a_silence_goes_on_when_its_age_begins_again() {
    let (mut tracker, mut connection) = (Tracker::new(SILENT_MS), Connection::used(0));
    watch(&mut tracker, &mut connection, 0..20, 3);
    let wrap = WRAP_MS / 1000;

    let gains = watch(&mut tracker, &mut connection, wrap - 60..wrap + 60, 3);

    assert!(gains.iter().all(|gain| !gain.is_kept && !gain.is_used), "it was counted before");
    assert!(gains.iter().all(|gain| gain.survived_ms <= WRAP_MS + 60_000), "it was silent for no longer");
    let end = (wrap + 61) * 1000;
    let used = tracker.look(&Connection::used(end).seen_at(end), exactly(end));
    assert!(used.is_used && !used.is_kept);
}

#[test]
fn what_is_only_received_is_no_data_sent_when_the_age_of_that_begins_again() {
    let mut tracker = Tracker::new(SILENT_MS);
    let received = WRAP_MS - 20_000;
    let mut connection = Connection { sent: 0, received, acknowledged: received };
    let seconds = received / 1000 + 1;

    let gains = watch(&mut tracker, &mut connection, seconds..seconds + 60, 3);

    assert_eq!(gains.iter().filter(|gain| gain.is_kept).count(), 1);
    assert!(gains.iter().all(|gain| !gain.is_used));
}

#[test]
fn connections_are_forgotten_when_they_are_gone_and_not_when_they_are_missed_once() {
    let (mut tracker, mut connection) = (Tracker::new(SILENT_MS), Connection::used(0));
    watch(&mut tracker, &mut connection, 0..20, 3);
    tracker.end();
    let gains = watch(&mut tracker, &mut connection, 22..40, 3);
    assert!(gains.iter().all(|gain| !gain.is_kept), "it was counted before");

    tracker.end();
    tracker.end();

    assert!(tracker.silences.is_empty());
}

#[test]
fn there_is_a_bound_and_what_is_beyond_is_counted() {
    let mut tracker = Tracker::new(SILENT_MS);
    for cookie in 0..MOST as u64 + 3 {
        let seen = Seen { cookie, ..Connection::used(0).seen_at(0) };
        tracker.look(&seen, exactly(0));
    }

    assert_eq!((tracker.silences.len(), tracker.end(), tracker.end()), (MOST, 3, 0));
}

proptest! {
    /// Whatever happens, and however it is looked at: no silence is counted that was not there, none twice, and none is
    /// used that was not kept; and nothing is survived for longer than it was silent.
    #[test]
    fn silences_are_counted_once_and_only_where_there_are_any(
        steps in prop::collection::vec((0_u8..10, 100_i64..6000), 1..300),
        unsent in prop_oneof![Just(0), WRAP_MS - 300_000..WRAP_MS],
    ) {
        let mut tracker = Tracker::new(SILENT_MS);
        let mut connection = Connection { sent: -unsent, ..Connection::used(0) };
        let (mut now, mut longest) = (0, 0);
        let (mut silences, mut kept, mut used) = (0, 0, 0);
        let mut is_long = false;
        for (what, pause) in steps {
            now += pause;
            let silent = now - connection.sent.max(connection.received);
            longest = longest.max(silent);
            if silent >= i64::from(SILENT_MS) && !is_long {
                is_long = true;
                silences += 1;
            }
            match what {
                0 => { connection = Connection::used(now); is_long = false; }
                1..=5 => connection.acknowledged = now,
                _ => {
                    let seen = Moment { from: now - i64::from(what), to: now + i64::from(what) };
                    let gain = tracker.look(&connection.seen_at(now), seen);
                    tracker.end();
                    kept += u32::from(gain.is_kept);
                    used += u32::from(gain.is_used);
                    prop_assert!(gain.survived_ms <= longest);
                    prop_assert!(!gain.is_kept || is_long);
                }
            }
            prop_assert!(used <= kept && kept <= silences);
        }
    }
}
