#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod model;

use super::*;
use crate::{
    plan::plan as planned,
    policy::{Limits, PolicySet, parse},
    workloads::{Paths, Placed},
};

const LIMITS: Limits = Limits::new(std::time::Duration::from_secs(1));

/// Policies of these names and globs, idle 60 s each.
fn policies(named: &[(&str, &str)]) -> PolicySet {
    policies_of("Tighten", named)
}

fn policies_of(mode: &str, named: &[(&str, &str)]) -> PolicySet {
    if named.is_empty() {
        return PolicySet::empty();
    }
    let documents = named.iter().map(|(name, glob)| {
        format!(
            "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
             spec: {{cgroups: [\"{glob}\"], mode: {mode}}}\n---\n"
        )
    });
    PolicySet::new(parse("test.yaml", &documents.collect::<String>(), &LIMITS).unwrap()).unwrap()
}

fn cgroups(paths: &[(&str, u64)]) -> Paths {
    paths.iter().map(|(path, id)| ((*path).to_owned(), *id)).collect()
}

fn desired(policies: &PolicySet, cgroups: &Paths) -> BTreeMap<u64, Desired> {
    planned(policies, cgroups, &Placed::default()).desired
}

/// What is there once `desired` was brought about.
fn in_force(desired: &BTreeMap<u64, Desired>) -> BTreeMap<u64, Actual> {
    let actual = |want: &Desired| Actual {
        path: want.path.clone(),
        policy_name: want.policy_name.clone(),
        policy: Some(want.policy),
        current: true,
        swept: None,
        guard: if want.policy.mode() == Mode::Enforce { Guard::Holds } else { Guard::Absent },
    };
    desired.iter().map(|(id, want)| (*id, actual(want))).collect()
}

/// The actions as `verb id`, in order.
fn plan(desired: &BTreeMap<u64, Desired>, actual: &BTreeMap<u64, Actual>) -> Vec<String> {
    let verb = |action: &Action| match action {
        Action::Attach(_) => "attach",
        Action::Write(_) => "write",
        Action::Replace(_) => "replace",
        Action::Guard(_) => "guard",
        Action::Unguard(_) => "unguard",
        Action::Detach(_) => "detach",
    };
    actions(desired, actual).iter().map(|(id, action)| format!("{} {id}", verb(action))).collect()
}

#[test]
fn what_is_in_force_needs_no_action() {
    let desired = desired(&policies(&[("p", "a*")]), &cgroups(&[("a1", 2), ("a2", 3)]));
    assert_eq!(plan(&desired, &in_force(&desired)), [""; 0]);
}

#[test]
fn the_deepest_is_attached_first() {
    let policies = policies(&[("p", "**"), ("root", "/")]);
    let desired = desired(&policies, &cgroups(&[("", 9), ("a", 1), ("a/b", 2), ("a/b/c", 3)]));
    assert_eq!(plan(&desired, &BTreeMap::new()), ["attach 3", "attach 2", "attach 1", "attach 9"]);
}

#[test]
fn a_cgroup_claims_before_its_ancestor_is_attached() {
    let tree = cgroups(&[("a", 1), ("a/b", 2)]);
    let before = in_force(&desired(&policies(&[("inner", "a/b")]), &tree));
    let after = desired(&policies(&[("inner", "a/b"), ("outer", "a")]), &tree);
    assert_eq!(plan(&after, &before), ["write 2", "attach 1"]);
}

#[test]
fn a_cgroup_claims_until_its_ancestor_is_detached() {
    let tree = cgroups(&[("a", 1), ("a/b", 2)]);
    let before = in_force(&desired(&policies(&[("inner", "a/b"), ("outer", "a")]), &tree));
    let after = desired(&policies(&[("inner", "a/b")]), &tree);
    assert_eq!(plan(&after, &before), ["detach 1", "write 2"]);
}

#[test]
fn a_cgroup_that_takes_over_from_its_ancestor_claims_until_that_is_detached() {
    let tree = cgroups(&[("a", 1), ("a/b", 2)]);
    let before = in_force(&desired(&policies(&[("outer", "a")]), &tree));
    let after = desired(&policies(&[("inner", "a/b")]), &tree);

    let actions = actions(&after, &before);

    assert_eq!(plan(&after, &before), ["attach 2", "detach 1", "write 2"]);
    assert!(matches!(&actions[0].1, Action::Attach(want) if want.policy.claims()), "{actions:?}");
    assert!(matches!(&actions[2].1, Action::Write(want) if !want.policy.claims()), "{actions:?}");
}

#[test]
fn a_cgroup_that_hands_over_to_its_ancestor_claims_until_it_is_detached() {
    let tree = cgroups(&[("a", 1), ("a/b", 2)]);
    let before = in_force(&desired(&policies(&[("inner", "a/b")]), &tree));
    let after = desired(&policies(&[("outer", "a")]), &tree);

    let actions = actions(&after, &before);

    assert_eq!(plan(&after, &before), ["write 2", "attach 1", "detach 2"]);
    assert!(matches!(&actions[0].1, Action::Write(want) if want.policy.claims()), "{actions:?}");
}

#[test]
fn a_cgroup_made_anew_under_the_same_path_is_another() {
    let policies = policies(&[("p", "a")]);
    let before = in_force(&desired(&policies, &cgroups(&[("a", 1)])));
    let after = desired(&policies, &cgroups(&[("a", 2)]));
    assert_eq!(plan(&after, &before), ["attach 2", "detach 1"]);
}

#[test]
fn what_another_daemon_left_is_written_and_replaced_where_it_differs() {
    let desired = desired(&policies(&[("p", "*")]), &cgroups(&[("a", 1), ("b", 2), ("c", 3)]));
    let mut actual = in_force(&desired);
    actual.get_mut(&1).unwrap().policy = None;
    actual.get_mut(&2).unwrap().current = false;
    actual.get_mut(&3).unwrap().policy_name = "renamed".to_owned();
    assert_eq!(plan(&desired, &actual), ["write 1", "replace 2", "write 3"]);
}

#[test]
fn what_enforces_is_guarded_once_it_is_in_force() {
    let policies = policies_of("Enforce", &[("p", "**")]);
    let desired = desired(&policies, &cgroups(&[("a", 1), ("a/b", 2)]));
    assert_eq!(plan(&desired, &BTreeMap::new()), ["attach 2", "guard 2", "attach 1", "guard 1"]);
    assert_eq!(plan(&desired, &in_force(&desired)), [""; 0]);
}

#[test]
fn a_guard_that_is_missing_or_does_not_hold_is_put_right() {
    let policies = policies_of("Enforce", &[("p", "*")]);
    let desired = desired(&policies, &cgroups(&[("a", 1), ("b", 2), ("c", 3)]));
    let mut actual = in_force(&desired);
    actual.get_mut(&1).unwrap().guard = Guard::Absent;
    actual.get_mut(&2).unwrap().guard = Guard::Stale;
    assert_eq!(plan(&desired, &actual), ["guard 1", "guard 2"]);
}

#[test]
fn what_no_longer_enforces_is_no_longer_guarded() {
    let tree = cgroups(&[("a", 1), ("b", 2)]);
    let before = in_force(&desired(&policies_of("Enforce", &[("p", "*")]), &tree));
    let after = desired(&policies(&[("p", "a")]), &tree);
    assert_eq!(plan(&after, &before), ["write 1", "unguard 1", "detach 2"]);

    let mut stale = in_force(&after);
    stale.get_mut(&1).unwrap().guard = Guard::Stale;
    assert_eq!(plan(&after, &stale), ["unguard 1"]);
}

#[test]
fn a_claim_alone_is_no_other_policy() {
    let tree = cgroups(&[("a", 1), ("a/b", 2)]);
    let inner = desired(&policies(&[("inner", "a/b")]), &tree);
    let nested = desired(&policies(&[("inner", "a/b"), ("outer", "a")]), &tree);
    let renamed = desired(&policies(&[("other", "a/b"), ("outer", "a")]), &tree);
    let before = &in_force(&inner)[&2];

    assert!(nested[&2].differs_in_claim_only(before));
    assert!(!inner[&2].differs_in_claim_only(before));
    assert!(!renamed[&2].differs_in_claim_only(before));
}

#[test]
fn without_policies_everything_is_detached() {
    let tree = cgroups(&[("a", 1), ("b", 2)]);
    let before = in_force(&desired(&policies(&[("p", "*")]), &tree));
    assert_eq!(plan(&desired(&PolicySet::empty(), &tree), &before), ["detach 1", "detach 2"]);
}

#[test]
fn what_is_inside_is_detached_after_what_it_is_in() {
    let tree = cgroups(&[("a", 9), ("a/b", 5), ("a/b/c", 7)]);
    let before = in_force(&desired(&policies(&[("p", "**")]), &tree));
    assert_eq!(plan(&desired(&PolicySet::empty(), &tree), &before), ["detach 9", "detach 5", "detach 7"]);
}

/// A walk through many states: applying the plan to the books always ends in what is desired.
#[test]
fn the_plan_always_ends_in_what_is_desired() {
    let sets = [
        policies(&[]),
        policies(&[("p", "**")]),
        policies(&[("p", "a"), ("q", "a/*")]),
        policies(&[("q", "*/b"), ("root", "/")]),
        policies_of("Enforce", &[("p", "**")]),
    ];
    let trees = [
        cgroups(&[("", 1)]),
        cgroups(&[("", 1), ("a", 2), ("a/b", 3)]),
        cgroups(&[("", 1), ("a", 4), ("a/b", 5), ("c", 6), ("c/b", 7)]),
    ];
    let mut actual = BTreeMap::new();
    for step in 0..sets.len() * trees.len() * 2 {
        let desired = desired(&sets[step % sets.len()], &trees[(step * 2 + step / 5) % trees.len()]);
        for (id, action) in actions(&desired, &actual) {
            match action {
                Action::Attach(want) => {
                    let made = in_force(&BTreeMap::from([(id, want)])).remove(&id).unwrap();
                    actual.insert(id, Actual { guard: Guard::Absent, ..made });
                }
                Action::Write(want) | Action::Replace(want) => {
                    let have = actual.get_mut(&id).unwrap();
                    have.policy = Some(want.policy);
                    have.policy_name = want.policy_name;
                }
                Action::Guard(_) => actual.get_mut(&id).unwrap().guard = Guard::Holds,
                Action::Unguard(_) => actual.get_mut(&id).unwrap().guard = Guard::Absent,
                Action::Detach(_) => {
                    actual.remove(&id);
                }
            }
        }
        assert_eq!(actual, in_force(&desired), "step {step}");
    }
}
