use proptest::prelude::*;

use super::*;
use crate::journal::Counts;

fn after(seconds: u64) -> Now {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    let passed = Duration::from_secs(seconds);
    Now { clock: *START + passed, time: SystemTime::UNIX_EPOCH + passed }
}

fn event(kind: Kind, cgroup: &str) -> Event {
    let counts = Counts { connections: Some(2), ..Counts::default() };
    Event { cgroup: Some(cgroup.to_owned()), counts, ..Event::new(kind) }
}

fn told(batch: &Batch) -> Vec<(u64, &str, u64)> {
    let mut told = Vec::new();
    for record in &batch.records {
        told.push((record.sequence, record.event.cgroup.as_deref().unwrap_or_default(), record.times));
    }
    told
}

#[test]
fn the_like_of_what_was_told_is_summed_up_and_told_when_its_time_has_come() {
    let mut ring = Ring::default();
    for second in [0, 1, 2, 4] {
        ring.push(event(Kind::Attached, "a"), after(second));
        ring.push(event(Kind::Attached, "b"), after(second));
    }
    assert_eq!(told(&ring.read(0, 99)), [(1, "a", 1), (2, "b", 1)]);

    ring.settle(after(5));

    let batch = ring.read(2, 99);
    assert_eq!(batch.records.iter().map(|record| record.times).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(batch.records[0].event.counts.connections, Some(6));
    assert_eq!(batch.records[0].time, "1970-01-01T00:00:05.000Z");
    // What comes then is summed up from there on; and once there was nothing for a while, it is news again.
    ring.push(event(Kind::Attached, "a"), after(6));
    assert_eq!(ring.last(), 4);
    ring.settle(after(11));
    ring.settle(after(20));
    ring.push(event(Kind::Attached, "a"), after(21));
    assert_eq!(told(&ring.read(4, 99)), [(5, "a", 1), (6, "a", 1)]);
}

#[test]
fn what_was_watched_for_moments_takes_no_memory_afterwards() {
    let mut ring = Ring::default();
    for cgroup in 0..1000 {
        ring.push(event(Kind::Attached, &cgroup.to_string()), after(0));
    }
    ring.push(event(Kind::Attached, "late"), after(3));
    assert!(ring.watched.capacity() >= 1001);

    ring.settle(after(5));

    assert_eq!(ring.watched.len(), 1);
    assert!(ring.watched.capacity() < 10, "{}", ring.watched.capacity());
}

#[test]
fn what_differs_is_told_at_once() {
    let mut ring = Ring::default();
    for policy in ["p", "q", "p"] {
        let policy = Some(policy.to_owned());
        ring.push(Event { policy, ..event(Kind::PolicyChanged, "a") }, after(0));
    }

    assert_eq!(ring.last(), 2);
}

#[test]
fn connections_do_not_push_out_what_was_done_and_readers_are_told_what_they_missed() {
    let mut ring = Ring::default();
    ring.push(event(Kind::Attached, "first"), after(0));
    for number in 0..HELD + 10 {
        ring.push(event(Kind::Applied, &number.to_string()), after(0));
    }

    let batch = ring.read(0, usize::MAX);

    assert_eq!((batch.missed, batch.records.len()), (10, HELD + 1));
    assert_eq!(told(&batch)[..2], [(1, "first", 1), (12, "10", 1)]);
    assert_eq!(ring.read(11, 1).missed, 0);
    assert_eq!(ring.read(5, 1).missed, 6);
}

proptest! {
    /// Nothing is lost without being counted: whatever a reader does, what it gets and what it is told to have missed
    /// come to all that was recorded; and what was recorded, with what waits, to all that happened.
    #[test]
    fn everything_is_told_or_counted(
        pushes in prop::collection::vec((0_u64..3, 0_usize..40, prop::bool::ANY), 0..400),
        most in 1_usize..50,
    ) {
        let mut ring = Ring::default();
        let (mut second, mut since, mut seen, mut missed, mut times) = (0, 0, 0, 0, 0);
        for (pause, cgroup, of_connections) in &pushes {
            second += pause;
            let kind = if *of_connections { Kind::Applied } else { Kind::Detached };
            ring.push(event(kind, &cgroup.to_string()), after(second));
        }
        ring.settle(after(second + 61));
        loop {
            let batch = ring.read(since, most);
            missed += batch.missed;
            let Some(last) = batch.records.last() else { break };
            prop_assert!(batch.records.len() <= most && last.sequence > since);
            since = last.sequence;
            seen += batch.records.len() as u64;
            times += batch.records.iter().map(|record| record.times).sum::<u64>();
        }
        prop_assert_eq!((seen + missed, times), (ring.last(), pushes.len() as u64));
    }
}
