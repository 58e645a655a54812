#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;
use crate::policy::{Limits, parse};

/// Policies by name, `namespace/name` for a `KeepalivePolicy`, with their spec.
fn set(documents: &[(&str, &str)]) -> PolicySet {
    let document = |(name, spec): &(&str, &str)| {
        let (kind, metadata) = match name.split_once('/') {
            Some((namespace, name)) => ("KeepalivePolicy", format!("name: {name}, namespace: {namespace}")),
            None => ("ClusterKeepalivePolicy", format!("name: {name}")),
        };
        format!(
            "apiVersion: keepalive.dev/v1alpha1\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n---\n"
        )
    };
    let text: String = documents.iter().map(document).collect();
    PolicySet::new(parse("p.yaml", &text, &Limits::default()).unwrap()).unwrap()
}

/// What came of the policies, as `name verdict: reason`.
fn told(set: &PolicySet, path: &str, pod: Option<&PodFacts>) -> Vec<String> {
    let considered = set.consider(path, pod);
    let told = considered.iter().map(|Considered { policy, verdict }| {
        let (verdict, reason) = match verdict {
            Verdict::Governs(reason) => ("governs", reason),
            Verdict::Outranked(reason) => ("outranked", reason),
            Verdict::NotSelected(reason) => ("no", reason),
        };
        format!("{} {verdict}: {reason}", policy.id)
    });
    told.collect()
}

fn pod() -> PodFacts {
    let labels = [("app".to_owned(), "web".to_owned())].into();
    PodFacts { namespace: "shop".to_owned(), name: "p".to_owned(), labels, ..PodFacts::default() }
}

#[test]
fn what_decided_is_told_of_the_one_that_governs_and_of_those_that_lost() {
    let all = "namespaces: ['*']";
    for (policies, expected) in [
        (&[("a", all)][..], &["a governs: the only one that selects it"][..]),
        (
            &[("a", all), ("b", "namespaces: ['*'], priority: 10"), ("c", "namespaces: ['*'], priority: -1")],
            &[
                "b governs: priority 10, before 0 of a",
                "a outranked: priority 0, after 10 of b",
                "c outranked: priority -1, after 10 of b",
            ],
        ),
        (
            &[("a", all), ("shop/z", ""), ("cgroups", "cgroups: [x]")],
            &[
                "shop/z governs: a KeepalivePolicy goes before a ClusterKeepalivePolicy, as a is",
                "a outranked: shop/z goes first: a KeepalivePolicy goes before a ClusterKeepalivePolicy",
                "cgroups outranked: shop/z goes first: a KeepalivePolicy goes before a ClusterKeepalivePolicy",
            ],
        ),
        (
            &[("pods", all), ("cgroups", "cgroups: [x]")],
            &[
                "pods governs: a policy for pods goes before one for cgroups, as cgroups is",
                "cgroups outranked: pods goes first: a policy for pods goes before one for cgroups",
            ],
        ),
        (
            &[("shop/b", ""), ("shop/a", "")],
            &[
                "shop/a governs: equal rank with shop/b: the first name wins",
                "shop/b outranked: equal rank with shop/a: the first name wins",
            ],
        ),
    ] {
        assert_eq!(told(&set(policies), "x", Some(&pod())), expected, "{policies:?}");
    }
}

#[test]
fn why_a_policy_does_not_select_a_pod_is_told() {
    let set = set(&[
        ("dev/a", ""),
        ("shop/b", "podSelector: {matchLabels: {app: checkout}}"),
        ("c", "namespaces: ['*'], excludedNamespaces: [shop]"),
        ("d", "namespaces: ['team-*']"),
        ("e", "cgroups: [y]"),
    ]);

    assert_eq!(
        told(&set, "x", Some(&pod())),
        [
            "dev/a no: namespace is `shop`, not `dev`",
            "shop/b no: label app is `web`, not `checkout`",
            "c no: namespace `shop` is excluded",
            "d no: namespace is `shop`, which does not match `team-*`",
            "e no: selects cgroups, and none of its globs matches",
        ]
    );
}

#[test]
fn a_cgroup_that_is_of_no_pod_is_selected_by_its_path_only() {
    let set = set(&[("a", "namespaces: ['*']"), ("b", "cgroups: [x]"), ("root", "cgroups: [/]")]);

    assert_eq!(
        told(&set, "x", None),
        [
            "a no: selects pods, and this is not the cgroup of a pod",
            "b governs: the only one that selects it",
            "root no: selects cgroups, and none of its globs matches",
        ]
    );
    assert_eq!(told(&set, "", None)[2], "root governs: the only one that selects it");
}

#[test]
fn a_set_without_policies_considers_none() {
    assert_eq!(told(&PolicySet::empty(), "x", Some(&pod())), [""; 0]);
}
