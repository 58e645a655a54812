//! Laws that hold for whatever policies and pods there are.

use super::pods::{parsed, pod};
use super::*;
use crate::policy::{Scope, Verdict};

const PATHS: [&str; 4] = ["", "a", "a/x", "b"];
const NAMESPACES: [&str; 3] = ["web", "dev", "kube-system"];
const APPS: [&str; 2] = ["api", "db"];

/// A generator that is the same each time, so that a law that breaks breaks again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        // The constants of MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one<'o>(&mut self, of: &[&'o str]) -> &'o str {
        of[self.below(of.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// One to ten policies of few priorities, so that there are ties.
    fn policies(&mut self) -> Vec<Policy> {
        let count = 1 + self.below(10);
        let documents: Vec<_> = (0..count)
            .map(|i| {
                let selector = self.one(&["", ", podSelector: {matchLabels: {app: api}}"]);
                let (name, scope) = match self.below(3) {
                    0 => {
                        (format!("p{i}"), format!("cgroups: ['{}']", self.one(&["/", "a", "*", "**", "a/*"])))
                    }
                    1 => {
                        let globs = self.one(&[
                            "namespaces: ['*']",
                            "namespaces: [web, 'd*']",
                            "excludedNamespaces: ['kube-*']",
                        ]);
                        (format!("p{i}"), format!("{globs}{selector}"))
                    }
                    _ => (
                        format!("{}/p{i}", self.one(&NAMESPACES)),
                        selector.trim_start_matches(", ").to_owned(),
                    ),
                };
                let comma = if scope.is_empty() { "" } else { ", " };
                (name, format!("{scope}{comma}priority: {}", self.below(3)))
            })
            .collect();
        let documents: Vec<_> = documents.iter().map(|(name, spec)| (name.as_str(), spec.as_str())).collect();
        parsed(&documents)
    }
}

/// Whether the policy is for the workload, by its scope alone.
fn is_for(policy: &Policy, path: &str, pod: Option<&PodFacts>) -> bool {
    match &policy.scope {
        Scope::Pods(scope) => pod.is_some_and(|pod| scope.check(pod).is_ok()),
        Scope::Cgroups(globs) => globs.iter().any(|glob| match glob.compiled() {
            None => path.is_empty(),
            Some(glob) => !path.is_empty() && glob.compile_matcher().is_match(path),
        }),
    }
}

fn workloads() -> Vec<(&'static str, Option<PodFacts>)> {
    let pods = NAMESPACES.iter().flat_map(|namespace| APPS.map(|app| Some(pod(namespace, app))));
    let pods: Vec<_> = std::iter::once(None).chain(pods).collect();
    PATHS.iter().flat_map(|path| pods.iter().map(move |pod| (*path, pod.clone()))).collect()
}

#[test]
fn what_governs_is_the_first_by_rank_of_all_that_are_for_the_workload() {
    let mut numbers = Numbers(1);
    let mut ties = 0;
    for _ in 0..60 {
        let set = PolicySet::new(numbers.policies()).unwrap();
        for (path, pod) in workloads() {
            let pod = pod.as_ref();
            let mut those: Vec<_> = set.iter().filter(|policy| is_for(policy, path, pod)).collect();
            those.sort_by_key(|policy| (Reverse(policy.priority), policy.kind(), policy.id.clone()));
            let equal = |a: &Policy, b: &Policy| (a.priority, a.kind()) == (b.priority, b.kind());
            let tie = match those[..] {
                [winner, loser, ..] if equal(winner, loser) => Some((&winner.id, &loser.id)),
                _ => None,
            };

            let tied = set.tie(path, pod);
            let considered = set.consider(path, pod);

            assert_eq!(set.select(path, pod), those.first().copied(), "{path} {pod:?} {set:?}");
            assert_eq!(tied.as_ref().map(|tie| (&tie.winner, &tie.loser)), tie, "{path} {pod:?} {set:?}");
            let verdicts = considered.iter().filter(|it| !matches!(it.verdict, Verdict::NotSelected(_)));
            assert_eq!(verdicts.map(|it| it.policy).collect::<Vec<_>>(), those, "{path} {pod:?} {set:?}");
            ties += usize::from(tie.is_some());
        }
    }
    assert!(ties > 100, "only {ties} ties were looked at");
}

#[test]
fn the_order_of_the_policies_does_not_matter() {
    let mut numbers = Numbers(2);
    for _ in 0..60 {
        let policies = numbers.policies();
        let mut shuffled = policies.clone();
        numbers.shuffle(&mut shuffled);

        let (one_way, other_way) = (PolicySet::new(policies).unwrap(), PolicySet::new(shuffled).unwrap());

        assert_eq!(one_way, other_way);
        for (path, pod) in workloads() {
            assert_eq!(one_way.select(path, pod.as_ref()), other_way.select(path, pod.as_ref()));
        }
    }
}

#[test]
fn of_any_two_policies_one_goes_before_the_other() {
    let mut numbers = Numbers(3);
    for _ in 0..60 {
        let set = PolicySet::new(numbers.policies()).unwrap();
        let keys: Vec<_> = set.iter().map(|policy| (rank(policy), &policy.id)).collect();

        assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
    }
}
