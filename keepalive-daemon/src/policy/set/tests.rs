#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod pods;
mod rank;

use super::*;
use crate::policy::{Limits, parse};

fn document(name: &str, priority: i32, cgroups: &str) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
         spec: {{cgroups: {cgroups}, priority: {priority}}}\n---\n"
    )
}

fn policies(file: &str, documents: &[(&str, i32, &str)]) -> Vec<Policy> {
    let text: String =
        documents.iter().map(|(name, priority, globs)| document(name, *priority, globs)).collect();
    parse(file, &text, &Limits::default()).unwrap()
}

fn set(documents: &[(&str, i32, &str)]) -> PolicySet {
    PolicySet::new(policies("p.yaml", documents)).unwrap()
}

fn selected<'s>(set: &'s PolicySet, path: &str) -> Option<&'s str> {
    set.select(path, None).map(|policy| policy.id.name.as_str())
}

#[test]
fn the_highest_priority_governs_and_then_the_first_name() {
    let set = set(&[("z", 0, "[a]"), ("b", 5, "[a, '*']"), ("c", 5, "[a]"), ("low", -1, "['**']")]);

    let order: Vec<_> = set.iter().map(|policy| policy.id.name.as_str()).collect();
    assert_eq!(order, ["b", "c", "z", "low"]);
    assert_eq!(selected(&set, "a"), Some("b"));
    assert_eq!(selected(&set, "x"), Some("b"));
    assert_eq!(selected(&set, "x/y"), Some("low"));
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut one_way = policies("1.yaml", &[("a", 0, "[x]")]);
    let mut other_way = policies("2.yaml", &[("b", 0, "[x]")]);
    let (first, second) = (one_way.clone(), other_way.clone());
    one_way.extend(second);
    other_way.extend(first);

    let (one_way, other_way) = (PolicySet::new(one_way).unwrap(), PolicySet::new(other_way).unwrap());

    assert_eq!(selected(&one_way, "x"), Some("a"));
    assert_eq!(one_way, other_way);
}

#[test]
fn the_root_is_selected_by_a_slash_and_by_nothing_else() {
    let without = set(&[("all", 0, "['**', '*']")]);
    let with = set(&[("all", 9, "['**']"), ("root", 0, "[/, a]")]);

    assert_eq!(selected(&without, ""), None);
    assert_eq!(selected(&with, ""), Some("root"));
    assert_eq!(selected(&with, "a"), Some("all"));
}

#[test]
fn an_empty_set_selects_nothing() {
    let set = PolicySet::empty();

    assert!(set.is_empty());
    assert_eq!((set.len(), selected(&set, ""), selected(&set, "a")), (0, None, None));
    assert_eq!(set, PolicySet::new(Vec::new()).unwrap());
}

#[test]
fn globs_that_match_no_path_are_told_by_policy_and_place() {
    let set = set(&[("a", 1, "[docker/*, nothing, /]"), ("b", 0, "[nothing, '**/init']")]);

    let unmatched = set.unmatched(["", "docker", "docker/1", "docker/1/init"]);

    let shown: Vec<_> =
        unmatched.iter().map(|u| (u.policy.name.as_str(), u.source.to_string(), u.glob.as_str())).collect();
    assert_eq!(shown, [("a", "p.yaml:3:18".into(), "nothing"), ("b", "p.yaml:8:18".into(), "nothing")]);
    assert_eq!(set.unmatched([]).len(), 4);
}

#[test]
fn a_name_that_is_taken_is_refused_with_both_places() {
    let mut all = policies("1.yaml", &[("a", 0, "[x]"), ("b", 0, "[x]")]);
    all.extend(policies("2.yaml", &[("b", 0, "[x]"), ("c", 0, "[x]"), ("b", 0, "[y]")]));

    let refused = PolicySet::new(all).unwrap_err();

    let shown: Vec<_> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "2.yaml:3:18: metadata.name: `b` is the name of the policy at 1.yaml:8:18 already\n  \
             help: give each policy a name of its own",
            "2.yaml:13:18: metadata.name: `b` is the name of the policy at 1.yaml:8:18 already\n  \
             help: give each policy a name of its own",
        ]
    );
}

#[test]
fn sets_differ_by_what_their_policies_say() {
    assert_eq!(set(&[("a", 0, "[x]")]), set(&[("a", 0, "[x]")]));
    assert_ne!(set(&[("a", 0, "[x]")]), set(&[("a", 1, "[x]")]));
    assert_ne!(set(&[("a", 0, "[x]")]), set(&[("a", 0, "[y]")]));
}

#[test]
fn more_globs_than_the_matcher_takes_are_refused() {
    let globs = |n: usize| {
        let list: Vec<_> = (0..n).map(|i| format!("a{i}")).collect();
        format!("[{}]", list.join(", "))
    };

    let most = PolicySet::new(policies("p.yaml", &[("a", 0, &globs(MOST_GLOBS))])).unwrap();
    let refused = PolicySet::new(policies("p.yaml", &[("a", 0, &globs(MOST_GLOBS + 1))])).unwrap_err();

    assert_eq!(selected(&most, "a9999"), Some("a"));
    assert_eq!(
        refused[0].to_string(),
        "p.yaml: all policies together have more than 10000 globs\n  help: use fewer, or simpler, globs"
    );
}

#[test]
fn globs_that_are_too_complex_for_the_matcher_are_refused() {
    let globs: Vec<_> = (0..100).map(|i| format!("'*{i}{}'", "?".repeat(4000))).collect();

    let refused =
        PolicySet::new(policies("p.yaml", &[("a", 0, &format!("[{}]", globs.join(", ")))])).unwrap_err();

    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].message.starts_with("the globs of all policies together are too many: "),
        "{}",
        refused[0]
    );
    assert!(refused[0].to_string().len() < 400, "{}", refused[0]);
}
