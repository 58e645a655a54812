#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use super::*;
use crate::sweeper::tests::{manual, policy, sweep};

#[test]
fn nothing_is_kept_of_cgroups_that_came_and_went() {
    let orders = Orders::new(Targets::default());

    for id in 1..=10_000 {
        orders.ask([sweep(id, 60), Request::Settled(id)]);
        orders.ask([Request::Changed(id), Request::Withdraw(id), Request::Settled(id)]);
    }

    let state = orders.lock();
    assert!(state.queue.is_empty() && state.waiting.is_empty() && state.applying.is_none());
}

#[test]
fn the_last_that_was_asked_for_is_done() {
    let orders = Orders::new(Targets::default());

    orders.ask([sweep(1, 60)]);
    orders.ask([sweep(1, 30)]);

    assert!(matches!(orders.next(), Task::Sweep));
    let (governed, begun) = orders.begin();
    assert!(governed == BTreeSet::from([1]) && begun.unwrap());
    assert_eq!(orders.lock().targets.get(1).unwrap().policy, policy(1, 30));
}

#[test]
fn a_bar_is_lifted_with_what_is_asked_before_it() {
    let targets = Targets::default();
    let orders = Orders::new(targets.clone());
    orders.ask([sweep(1, 60)]);

    targets.bar([1]);
    assert!(!orders.begin().1.unwrap());
    orders.break_off();
    orders.ask([sweep(1, 30), Request::Settled(targets.changes())]);

    assert!(orders.begin().1.unwrap());
    assert_eq!(targets.get(1).unwrap().policy, policy(1, 30));
}

#[test]
fn who_asks_for_nothing_more_is_heard_at_once() {
    let orders = Orders::new(Targets::default());
    orders.ask([sweep(1, 60)]);

    orders.end();

    assert!(matches!(orders.next(), Task::End));
    assert_eq!(orders.interruption(Duration::from_secs(3600)), Some(Interruption::End));
}

#[test]
fn who_comes_while_a_program_is_loaded_is_next() {
    let orders = Orders::new(Targets::default());
    orders.ask([sweep(1, 60)]);
    assert!(matches!(orders.next(), Task::Sweep));

    // Before the pass begins.
    orders.ask([Request::Apply(manual(2, &[2]).0)]);
    assert!(orders.begin().1.unwrap());

    assert_eq!(orders.interruption(Duration::ZERO), Some(Interruption::Outdated));
    orders.break_off();
    assert!(matches!(orders.next(), Task::Apply(_)));
}

#[test]
fn a_failed_pass_gives_up_what_it_was_for_and_nothing_else() {
    let orders = Orders::new(Targets::default());
    orders.ask([sweep(1, 60)]);
    assert!(orders.begin().1.unwrap());
    orders.ask([sweep(2, 60)]);

    assert_eq!(orders.give_up(), [1]);
    // None could begin.
    assert_eq!(orders.give_up(), [2]);
}

#[test]
fn a_member_with_a_policy_of_its_own_outdates_what_waits() {
    let orders = Orders::new(Targets::default());
    for (changed, outdated) in
        [(1, Some(Interruption::Outdated)), (2, Some(Interruption::Outdated)), (3, None)]
    {
        for is_waiting in [true, false] {
            let (asked, _answer) = manual(1, &[1, 2]);
            orders.ask([Request::Apply(asked)]);
            let begin = || assert!(matches!(orders.next(), Task::Apply(_)));
            if !is_waiting {
                begin();
            }
            orders.ask([Request::Changed(changed)]);
            if is_waiting {
                begin();
            }
            assert_eq!(orders.interruption(Duration::ZERO), outdated, "{changed}, it waits: {is_waiting}");
        }
    }
}

#[test]
fn after_the_end_nobody_waits() {
    let orders = Orders::new(Targets::default());
    let [(early, before), (late, after)] = [1, 2].map(|id| manual(id, &[id]));
    orders.ask([Request::Apply(early)]);

    orders.end();
    orders.ask([Request::Apply(late)]);

    assert!(before.blocking_recv().is_err() && after.blocking_recv().is_err());
}
