use std::{ops::Range, time::Duration};

use keepalive_ebpf::Outcome;

use super::*;
use crate::sweeper::tests::{job, policy, swept};

/// One complete pass in which these connections are seen.
fn pass(queue: &mut Queue, now: Instant, seen: &[Swept]) -> Vec<Done> {
    assert!(!queue.begin(now).is_empty(), "nothing is due");
    for swept in seen {
        queue.count(swept);
    }
    queue.complete()
}

/// A sweep of the connections of many cgroups.
fn wide(id: u64, members: Range<u64>) -> Job {
    Job { members: members.collect(), ..job(id, 60) }
}

#[test]
fn passes_are_repeated_until_one_changes_nothing() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.request(1, job(1, 60), now);

    assert_eq!(pass(&mut queue, now, &[swept(1, 1, Outcome::Arm)]), []);
    let done = pass(&mut queue, now, &[swept(1, 1, Outcome::KeepTighter)]);

    assert_eq!(done.len(), 1);
    assert_eq!((done[0].tally.of(Outcome::Arm), done[0].tally.examined()), (1, 1));
    assert!(queue.is_empty());
}

#[test]
fn what_never_comes_to_rest_is_done_after_four_passes() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.request(1, job(1, 60), now);

    for cookie in 0..3 {
        assert_eq!(pass(&mut queue, now, &[swept(1, cookie, Outcome::Arm)]), []);
    }

    assert_eq!(pass(&mut queue, now, &[swept(1, 3, Outcome::Arm)])[0].tally.of(Outcome::Arm), 4);
}

#[test]
fn the_values_of_each_earlier_policy_are_looked_for() {
    let now = Instant::now();
    let previous = vec![policy(1, 10), policy(1, 20)];
    let mut queue = Queue::default();
    queue.request(1, Job { previous: previous.clone(), ..job(1, 60) }, now);

    let looked_for: Vec<Policy> = (0..2)
        .map(|_| {
            let target = queue.begin(now)[&1];
            queue.complete();
            assert_eq!(target.has_previous, 1);
            target.previous
        })
        .collect();

    assert_eq!(looked_for, previous);
    assert!(queue.is_empty(), "no pass changed anything");
}

#[test]
fn a_later_request_takes_the_place_of_the_earlier_and_breaks_its_pass_off() {
    let now = Instant::now();
    let mut queue = Queue::default();
    assert!(!queue.request(1, job(1, 60), now));
    assert!(!queue.request(1, job(1, 50), now), "no pass is under way");
    queue.begin(now);

    assert!(!queue.request(2, job(2, 60), now), "the pass goes on: it is of others");
    assert!(queue.request(1, job(1, 40), now));

    queue.break_off();
    let targets = queue.begin(now);
    assert_eq!(targets[&1].policy, policy(1, 40));
    assert_eq!(targets.len(), 2, "what came meanwhile is in the next pass");
}

#[test]
fn what_is_withdrawn_is_not_swept() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.request(1, job(1, 60), now);
    queue.request(2, job(2, 60), now);
    queue.begin(now);

    assert!(queue.withdraw(1));
    assert!(!queue.withdraw(1), "it is gone already");

    queue.break_off();
    assert_eq!(queue.begin(now).into_keys().collect::<Vec<_>>(), [2]);
}

#[test]
fn what_a_broken_off_pass_changed_is_counted() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.request(1, job(1, 60), now);
    queue.begin(now);
    queue.count(&swept(1, 1, Outcome::Arm));
    queue.break_off();

    let seen = [swept(1, 1, Outcome::KeepTighter), swept(1, 2, Outcome::Arm)];
    assert_eq!(pass(&mut queue, now, &seen), []);
    let done = pass(&mut queue, now, &[]);

    assert_eq!(done[0].tally.of(Outcome::Arm), 2);
}

#[test]
fn what_is_to_begin_later_waits() {
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let mut queue = Queue::default();
    queue.request(1, job(1, 60), later);
    queue.request(2, job(2, 60), now);

    assert_eq!(queue.begin(now).into_keys().collect::<Vec<_>>(), [2]);
    assert_eq!(queue.complete().len(), 1);

    assert_eq!(queue.due(), Some(later));
    assert_eq!(queue.begin(later).into_keys().collect::<Vec<_>>(), [1]);
}

#[test]
fn what_is_too_much_for_one_pass_takes_no_others_with_it() {
    let now = Instant::now();
    let most = MOST_TARGETS as u64;
    let mut queue = Queue::default();
    queue.request(1, wide(1, 1..2), now);
    queue.request(2, wide(2, 1000..1001 + most), now);
    queue.request(3, wide(3, 2..3), now);

    assert_eq!(queue.begin(now).into_keys().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(queue.complete().into_iter().map(|done| done.id).collect::<Vec<_>>(), [1, 3]);

    assert_eq!(queue.begin(now).len(), MOST_TARGETS + 1, "the kernel refuses that");
    assert_eq!(queue.give_up(), [2]);
    assert!(queue.is_empty());
}

#[test]
fn what_fits_into_one_pass_is_in_it() {
    let now = Instant::now();
    let half = MOST_TARGETS as u64 / 2;
    let mut queue = Queue::default();
    queue.request(1, wide(1, 0..half), now);
    queue.request(2, wide(2, half..2 * half), now);

    assert_eq!(queue.begin(now).len(), MOST_TARGETS);
    assert_eq!(queue.running(), BTreeSet::from([1, 2]));
}

#[test]
fn a_sweep_that_only_tells_takes_one_pass() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.request(1, Job { sweep: Sweep::Tell, ..job(1, 60) }, now);
    queue.begin(now);

    assert!(!queue.count(&swept(1, 1, Outcome::Arm)), "nothing is changed");

    assert_eq!(queue.complete()[0].tally.of(Outcome::Arm), 1);
}

#[test]
fn a_failed_pass_ends_what_it_was_for() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.request(1, job(1, 60), now);
    queue.request(2, job(2, 60), now + Duration::from_secs(1));
    queue.begin(now);

    assert_eq!(queue.give_up(), [1]);
    assert!(!queue.is_empty());
}

#[test]
fn new_cgroups_below_change_nothing_and_one_that_another_governs_now_does() {
    let of = |members: &[u64]| Job { members: members.iter().copied().collect(), ..job(1, 60) };
    let there = |id: u64| id != 9;

    assert!(of(&[1, 2]).serves(&of(&[1, 2, 3]), there));
    assert!(!of(&[1, 2]).serves(&of(&[1]), there));
    assert!(of(&[1, 9]).serves(&of(&[1]), there), "it is gone");
    assert!(!of(&[1]).serves(&job(1, 50), there));
}
