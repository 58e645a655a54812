#![expect(clippy::panic, reason = "a failed step fails the test")]

mod partial;

use keepalive_ebpf::{Direction, Timers};

use super::*;
use crate::{
    reconcile::Guard,
    sweeper::tests::{policy, swept},
    workloads::Paths,
};

const CAUSE: Cause = Cause::Policies;

/// A node of its own: what is attached there, and what was told of it.
struct Node {
    books: Books,
    cgroups: Paths,
    attached: BTreeMap<u64, Actual>,
    existing: BTreeSet<u64>,
}

impl Node {
    fn new(cgroups: &[(&str, u64)]) -> Self {
        let cgroups = cgroups.iter().map(|(path, id)| ((*path).to_owned(), *id)).collect();
        let (attached, existing) = (BTreeMap::new(), BTreeSet::new());
        Self { books: Books::default(), cgroups, attached, existing }
    }

    fn attach(&mut self, id: u64, policy: Policy) -> Deed {
        let (path, _) = self.cgroups.iter().find(|(_, it)| **it == id).expect("a cgroup");
        let actual = Actual {
            path: path.clone(),
            policy_name: "p".to_owned(),
            policy: Some(policy),
            current: true,
            swept: None,
            guard: Guard::Absent,
        };
        self.attached.insert(id, actual);
        self.existing.insert(id);
        Deed::Attached(id)
    }

    fn write(&mut self, id: u64, policy: Policy) -> Deed {
        Deed::Written(id, self.attached.get_mut(&id).expect("attached").policy.replace(policy))
    }

    fn detach(&mut self, id: u64) -> Deed {
        self.existing.remove(&id);
        Deed::Detached(id, Box::new(self.attached.remove(&id).expect("attached")))
    }

    fn follow(&mut self, deeds: Vec<Deed>, cause: Cause) -> Vec<Order> {
        let Self { books, cgroups, attached, existing } = self;
        books.follow(deeds, &View { attached, existing, cgroups, cause })
    }

    /// Has a sweep done, with what was seen.
    fn finish(&mut self, job: &Job, seen: &[Outcome]) {
        self.finish_but(job, seen, Reached::All);
    }

    /// The same, where not all could be reached.
    fn finish_but(&mut self, job: &Job, seen: &[Outcome], reached: Reached) {
        let id = job.policy.cgroup();
        let mut tally = Tally::default();
        for (cookie, outcome) in (1..).zip(seen) {
            tally.count(&swept(id, cookie, *outcome));
        }
        let actual = self.attached.get(&id);
        let (in_force, before) = (actual.and_then(|it| it.policy), actual.and_then(|it| it.swept));
        if self.books.finished(id, job, tally, reached, in_force, before) {
            self.attached.get_mut(&id).expect("attached").swept = Some(job.policy);
        }
    }
}

fn one(orders: Vec<Order>) -> Job {
    match <[Order; 1]>::try_from(orders) {
        Ok([Order::Sweep(_, job)]) => *job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_attached_is_swept_until_it_is_done_and_then_no_more() {
    let mut node = Node::new(&[("a", 1), ("a/b", 2)]);
    let attached = node.attach(1, policy(1, 60));

    let job = one(node.follow(vec![attached], CAUSE));

    assert_eq!((job.sweep, &job.previous, &job.members), (Sweep::Apply, &vec![], &BTreeSet::from([1, 2])));
    assert_eq!(node.follow(vec![], Cause::Cgroups), [], "it is asked for already");
    node.finish(&job, &[Outcome::Arm]);
    assert_eq!(node.follow(vec![], Cause::Resync), []);
    assert_eq!(node.books.found(1).map(|found| found.tally.of(Outcome::Arm)), Some(1));
}

#[test]
fn a_claim_alone_changes_nothing_for_open_connections() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish(&job, &[]);

    let written = node.write(1, policy(1, 60).claiming(true));

    assert_eq!(node.follow(vec![written], CAUSE), []);
}

#[test]
fn the_values_of_all_policies_since_the_last_sweep_are_looked_for() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish(&job, &[]);
    let second = node.write(1, policy(1, 30));
    node.follow(vec![second], CAUSE);

    let third = node.write(1, policy(1, 90));
    let job = one(node.follow(vec![third], CAUSE));

    assert_eq!(job.previous, [policy(1, 60), policy(1, 30)]);
    node.finish(&job, &[]);
    let fourth = node.write(1, policy(1, 10));
    assert_eq!(one(node.follow(vec![fourth], CAUSE)).previous, [policy(1, 90)]);
}

#[test]
fn what_only_counts_leaves_the_values_of_what_was_before() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish(&job, &[]);
    let timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 };
    let monitor = Policy::new(Mode::Monitor, Direction::Both, timers).of_cgroup(1);
    let written = node.write(1, monitor);
    let job = one(node.follow(vec![written], CAUSE));
    node.finish(&job, &[]);

    let written = node.write(1, policy(1, 90));

    assert_eq!(one(node.follow(vec![written], CAUSE)).previous, [policy(1, 60)]);
}

#[test]
fn a_policy_that_is_not_for_open_connections_sweeps_nothing() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    node.follow(vec![attached], CAUSE);
    node.existing.clear();

    assert_eq!(node.follow(vec![], CAUSE), [Order::Withdraw(1)]);
    assert_eq!(node.follow(vec![], Cause::Resync), []);

    node.existing.insert(1);
    assert_eq!(one(node.follow(vec![], CAUSE)).policy, policy(1, 60));
}

#[test]
fn a_cgroup_governed_inside_takes_its_connections_with_it_and_gives_them_back() {
    let mut node = Node::new(&[("a", 1), ("a/b", 2)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish(&job, &[]);

    let attached = node.attach(2, policy(2, 30));
    let job = one(node.follow(vec![attached], CAUSE));
    assert_eq!((job.policy, &job.previous), (policy(2, 30), &vec![policy(1, 60)]));
    assert_eq!(job.members, BTreeSet::from([2]));
    node.finish(&job, &[]);

    let detached = node.detach(2);
    let job = one(node.follow(vec![detached], CAUSE));
    assert_eq!((job.policy, &job.previous), (policy(1, 60), &vec![policy(2, 30)]));
    assert_eq!(job.members, BTreeSet::from([1, 2]));
    node.finish(&job, &[]);
    assert_eq!(node.follow(vec![], Cause::Resync), []);
}

#[test]
fn connections_of_a_cgroup_that_is_no_longer_governed_are_counted() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish(&job, &[]);

    let detached = node.detach(1);
    let job = one(node.follow(vec![detached], CAUSE));

    assert_eq!((job.sweep, job.policy), (Sweep::Tell, Policy::NOTHING.of_cgroup(1)));
    assert_eq!((&job.previous, node.books.left()), (&vec![policy(1, 60)], vec![]));
    node.finish(&job, &[Outcome::KeepTighter, Outcome::KeepTighter, Outcome::KeepChosen]);
    assert_eq!(node.books.left()[0].connections, 2);
    assert_eq!(node.follow(vec![], Cause::Resync), []);
    assert_eq!(node.books.left().len(), 1);

    node.cgroups.clear();
    node.follow(vec![], Cause::Cgroups);
    assert_eq!(node.books.left(), []);
}

#[test]
fn what_nobody_has_values_of_is_not_remembered() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    node.follow(vec![attached], CAUSE);
    let detached = node.detach(1);

    let orders = node.follow(vec![detached], CAUSE);
    let Order::Sweep(1, job) = &orders[0] else { panic!("{orders:?}") };
    node.finish(job, &[Outcome::KeepChosen]);

    assert!(!node.books.left.contains(1));
}

#[test]
fn what_is_enforced_is_checked_again_and_again() {
    let timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 };
    let enforce = Policy::new(Mode::Enforce, Direction::Both, timers).of_cgroup(1);
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, enforce);
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish(&job, &[Outcome::Arm]);

    for _ in 0..2 {
        let job = one(node.follow(vec![], Cause::Resync));
        assert_eq!((job.sweep, &job.previous), (Sweep::Recheck, &vec![]));
        assert_eq!(node.follow(vec![], Cause::Pods), [], "the check goes on");
        node.finish(&job, &[]);
    }

    assert_eq!(
        node.books.found(1).map(|found| found.tally.of(Outcome::Arm)),
        Some(1),
        "that is still what was done"
    );
}

#[test]
fn what_failed_is_asked_for_again_but_not_by_each_cgroup_that_comes() {
    let mut node = Node::new(&[("a", 1), ("b", 2)]);
    let attached = vec![node.attach(1, policy(1, 60)), node.attach(2, policy(2, 60))];
    node.follow(attached, CAUSE);
    let detached = node.detach(2);
    node.follow(vec![detached], CAUSE);

    for cause in [Cause::Resync, Cause::Policies, Cause::Start] {
        node.books.failed(&[1, 2]);
        assert_eq!(node.follow(vec![], Cause::Cgroups), []);
        assert_eq!(node.follow(vec![], Cause::Pods), []);

        let orders = node.follow(vec![], cause);

        assert!(matches!(&orders[..], [Order::Sweep(1, _), Order::Sweep(2, _)]), "{orders:?}");
        assert_eq!(node.follow(vec![], Cause::Cgroups), [], "they go on");
    }
}

#[test]
fn a_sweep_for_a_policy_that_no_longer_governs_counts_for_nothing() {
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, policy(1, 60));
    let stale = one(node.follow(vec![attached], CAUSE));
    let written = node.write(1, policy(1, 30));
    node.follow(vec![written], CAUSE);

    node.finish(&stale, &[Outcome::Arm]);

    assert_eq!(node.attached[&1].swept, None);
    assert!(node.books.is_requested(1) && node.books.found(1).is_none());
}

#[test]
fn rules_for_destinations_stay_while_a_sweep_refers_to_them() {
    let mut node = Node::new(&[("a", 1), ("b", 2)]);
    let to = |id, rules| policy(id, 60).to_destinations(rules);
    let attached = vec![node.attach(1, to(1, 10)), node.attach(2, to(2, 20))];
    let orders = node.follow(attached, CAUSE);
    assert_eq!(node.books.rules_in_use(), BTreeSet::from([10, 20]), "asked for");
    for order in &orders {
        let Order::Sweep(_, job) = order else { panic!("{orders:?}") };
        node.finish(job, &[]);
    }
    assert_eq!(node.books.rules_in_use(), BTreeSet::new());

    let deeds = vec![node.write(1, to(1, 11)), node.detach(2)];
    node.existing.clear();
    node.follow(deeds, CAUSE);

    assert_eq!(
        node.books.rules_in_use(),
        BTreeSet::from([0, 10, 20]),
        "the values that connections have, those of a cgroup that was left, and none for the count of these"
    );
}

#[test]
fn what_is_enforced_is_checked_also_in_cgroups_that_are_named_like_those_of_exec() {
    let timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 };
    let mut node = Node::new(&[("a", 1), ("a/keepalive-transient-7", 2)]);
    let attached = node.attach(1, Policy::new(Mode::Enforce, Direction::Both, timers).of_cgroup(1));

    let job = one(node.follow(vec![attached], CAUSE));
    assert_eq!(job.members, BTreeSet::from([1]), "who runs there may have values of another policy");
    node.finish(&job, &[]);

    let job = one(node.follow(vec![], Cause::Resync));
    assert_eq!((job.sweep, job.members), (Sweep::Recheck, BTreeSet::from([1, 2])));
}

/// A cgroup whose enforced policy was applied and is being checked.
fn being_checked() -> Node {
    let timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 };
    let mut node = Node::new(&[("a", 1)]);
    let attached = node.attach(1, Policy::new(Mode::Enforce, Direction::Both, timers).of_cgroup(1));
    let job = one(node.follow(vec![attached], CAUSE));
    node.finish(&job, &[]);
    // A check is for what is marked, whether or not the policy is for what is open.
    node.existing.clear();
    assert_eq!(one(node.follow(vec![], Cause::Resync)).sweep, Sweep::Recheck);
    node
}

#[test]
fn a_check_of_a_policy_that_is_no_longer_in_force_is_withdrawn() {
    let mut node = being_checked();

    let written = node.write(1, policy(1, 30));

    assert_eq!(node.follow(vec![written], CAUSE), [Order::Withdraw(1)]);
}

#[test]
fn a_check_of_a_cgroup_that_is_gone_is_withdrawn() {
    let mut node = being_checked();
    node.cgroups.clear();

    let detached = node.detach(1);

    assert_eq!(node.follow(vec![detached], Cause::Cgroups), [Order::Withdraw(1)]);
}

#[test]
fn connections_taken_over_during_a_sweep_are_swept_by_another() {
    let mut node = Node::new(&[("a", 1), ("a/b", 2)]);
    // What only counts gives no values, so that none are to be looked for later.
    let timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 };
    let monitor = Policy::new(Mode::Monitor, Direction::Both, timers).of_cgroup(2);
    let attached = vec![node.attach(1, policy(1, 60)), node.attach(2, monitor)];
    node.existing.remove(&2);
    let first = one(node.follow(attached, CAUSE));
    assert_eq!(first.members, BTreeSet::from([1]));

    let detached = node.detach(2);
    let second = one(node.follow(vec![detached], Cause::Cgroups));

    assert_eq!((&second.members, &second.previous), (&BTreeSet::from([1, 2]), &first.previous));
    node.finish(&first, &[]);
    assert_eq!(node.attached[&1].swept, None);
    assert!(node.books.is_requested(1), "the other is still to be done");
    node.finish(&second, &[]);
    assert_eq!(node.attached[&1].swept, Some(policy(1, 60)));
    assert_eq!(node.follow(vec![], Cause::Resync), []);
}
