use super::*;

/// A `KeepalivePolicy` if `name` has a namespace, else a `ClusterKeepalivePolicy`.
pub(super) fn document(name: &str, spec: &str) -> String {
    let (kind, metadata) = match name.split_once('/') {
        Some((namespace, name)) => ("KeepalivePolicy", format!("{{name: {name}, namespace: {namespace}}}")),
        None => ("ClusterKeepalivePolicy", format!("{{name: {name}}}")),
    };
    format!("apiVersion: keepalive.dev/v1alpha1\nkind: {kind}\nmetadata: {metadata}\nspec: {{{spec}}}\n---\n")
}

pub(super) fn parsed(documents: &[(&str, &str)]) -> Vec<Policy> {
    let text: String = documents.iter().map(|(name, spec)| document(name, spec)).collect();
    parse("p.yaml", &text, &Limits::default()).unwrap()
}

fn set(documents: &[(&str, &str)]) -> PolicySet {
    PolicySet::new(parsed(documents)).unwrap()
}

pub(super) fn pod(namespace: &str, app: &str) -> PodFacts {
    let labels = [("app".to_owned(), app.to_owned())].into();
    PodFacts { namespace: namespace.to_owned(), name: "p".to_owned(), labels, ..PodFacts::default() }
}

/// The policy that governs the pod at `path`.
fn selected(set: &PolicySet, path: &str, pod: &PodFacts) -> Option<String> {
    set.select(path, Some(pod)).map(|policy| policy.id.to_string())
}

fn tied(set: &PolicySet, path: &str, pod: Option<&PodFacts>) -> Option<[String; 2]> {
    set.tie(path, pod).map(|Tie { winner, loser }| [winner.to_string(), loser.to_string()])
}

#[test]
fn the_more_specific_kind_governs_where_priorities_are_equal() {
    let all = [
        ("a-cgroups", "cgroups: ['kubepods/*']"),
        ("b-pods", "namespaces: ['*']"),
        ("web/z", "podSelector: {matchLabels: {app: x}}"),
    ];
    let set = set(&all);
    let order: Vec<_> = set.iter().map(|policy| policy.id.to_string()).collect();

    assert_eq!(order, ["web/z", "b-pods", "a-cgroups"]);
    assert_eq!(selected(&set, "kubepods/1", &pod("web", "x")).as_deref(), Some("web/z"));
    assert_eq!(selected(&set, "kubepods/1", &pod("web", "y")).as_deref(), Some("b-pods"));
    assert_eq!(selected(&set, "kubepods/1", &pod("dev", "x")).as_deref(), Some("b-pods"));
    assert_eq!(set.select("kubepods/1", None).map(|policy| policy.id.name.as_str()), Some("a-cgroups"));
    assert_eq!(set.select("other", None), None);
}

#[test]
fn a_higher_priority_governs_whatever_the_kind() {
    let set = set(&[
        ("web/a", ""),
        ("pods", "namespaces: [web], priority: 1"),
        ("cgroups", "cgroups: [x], priority: 2"),
    ]);

    assert_eq!(selected(&set, "x", &pod("web", "")).as_deref(), Some("cgroups"));
    assert_eq!(selected(&set, "y", &pod("web", "")).as_deref(), Some("pods"));
    assert_eq!(selected(&set, "y", &pod("dev", "")), None);
}

#[test]
fn a_tie_is_told_only_where_names_decide() {
    let by_name = set(&[("web/a", ""), ("web/b", ""), ("dev/c", ""), ("dev/d", "priority: 1")]);
    let by_kind = set(&[("web/a", ""), ("a", "namespaces: [web]"), ("b", "cgroups: [x]")]);
    let below = set(&[
        ("a", "namespaces: ['*'], priority: 1"),
        ("b", "namespaces: ['*']"),
        ("c", "namespaces: ['*']"),
    ]);
    let cgroups = set(&[
        ("b", "cgroups: [x, '*']"),
        ("a", "cgroups: [x]"),
        ("c", "cgroups: [/]"),
        ("d", "cgroups: [/]"),
    ]);

    assert_eq!(tied(&by_name, "x", Some(&pod("web", ""))), Some(["web/a".into(), "web/b".into()]));
    assert_eq!(tied(&by_name, "x", Some(&pod("dev", ""))), None);
    assert_eq!(tied(&by_name, "x", None), None);
    assert_eq!(tied(&by_kind, "x", Some(&pod("web", ""))), None);
    assert_eq!(tied(&below, "x", Some(&pod("web", ""))), None, "what loses anyway may tie");
    assert_eq!(tied(&cgroups, "x", None), Some(["a".into(), "b".into()]));
    assert_eq!(tied(&cgroups, "y", None), None, "one policy does not tie with itself");
    assert_eq!(tied(&cgroups, "", None), Some(["c".into(), "d".into()]));
}

#[test]
fn names_are_unique_among_the_policies_of_the_cluster_and_within_a_namespace() {
    let distinct = parsed(&[("a", "cgroups: [x]"), ("web/a", ""), ("dev/a", "")]);
    let repeated = parsed(&[("a", "cgroups: [x]"), ("web/a", ""), ("a", "namespaces: [x]"), ("web/a", "")]);

    assert_eq!(PolicySet::new(distinct).unwrap().len(), 3);
    let shown: Vec<_> = PolicySet::new(repeated).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "p.yaml:13:18: metadata.name: `a` is the name of the policy at p.yaml:3:18 already\n  \
             help: give each policy a name of its own",
            "p.yaml:18:18: metadata.name: `web/a` is the name of the policy at p.yaml:8:18 already\n  \
             help: give each policy of a namespace a name of its own",
        ]
    );
}

#[test]
fn only_globs_on_cgroups_can_be_unmatched() {
    let set = set(&[("web/a", ""), ("pods", "namespaces: [nowhere]"), ("cgroups", "cgroups: [x, y]")]);

    let unmatched: Vec<_> = set.unmatched(["x"]).into_iter().map(|unmatched| unmatched.glob).collect();

    assert_eq!(unmatched, ["y"]);
}

#[test]
fn globs_on_namespaces_count_as_globs() {
    let thousand: Vec<_> = (0..1000).map(|i| format!("n{i}")).collect();
    let spec = format!("namespaces: [{}]", thousand.join(", "));
    let names: Vec<_> = (0..11).map(|i| format!("p{i}")).collect();
    let documents: Vec<_> = names.iter().map(|name| (name.as_str(), spec.as_str())).collect();

    let refused = PolicySet::new(parsed(&documents)).unwrap_err();

    assert_eq!(refused[0].message, "all policies together have more than 10000 globs");
    assert_eq!(PolicySet::new(parsed(&documents[..10])).unwrap().len(), 10);
}

#[test]
fn a_set_knows_whether_it_is_about_pods() {
    assert!(!set(&[("a", "cgroups: [x]")]).selects_pods());
    assert!(set(&[("a", "podSelector: {}")]).selects_pods());
    assert!(set(&[("web/a", "")]).selects_pods());
}
