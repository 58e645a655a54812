use super::super::{Kind, NamespaceGlob, NamespaceScope, PodFacts, PodScope, Policy, Scope};
use super::{HEADER, accepted, refused, with_spec};

const NAMESPACED: &str = "apiVersion: keepalive.dev/v1alpha1\nkind: KeepalivePolicy\n";

/// A `KeepalivePolicy` whose `spec` begins in line 4.
fn namespaced(spec: &str) -> String {
    format!("{NAMESPACED}metadata: {{name: a, namespace: payments}}\nspec:{spec}\n")
}

fn pods(policy: &Policy) -> &PodScope {
    match &policy.scope {
        Scope::Pods(scope) => scope,
        Scope::Cgroups(_) => unreachable!("{policy:?}"),
    }
}

fn pod(namespace: &str, labels: &[(&str, &str)]) -> PodFacts {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    PodFacts { namespace: namespace.to_owned(), labels: labels.collect(), ..PodFacts::default() }
}

#[test]
fn a_keepalive_policy_is_for_pods_of_its_namespace() {
    let policies = accepted(&namespaced(
        " {podSelector: {matchLabels: {app: web, app.kubernetes.io/part-of: ''}, matchExpressions: [\
         {key: tier, operator: In, values: [front, back]}, {key: canary, operator: DoesNotExist, values: []}]}}",
    ));

    let scope = pods(&policies[0]);
    let wanted = [("app", "web"), ("app.kubernetes.io/part-of", ""), ("tier", "back")];
    let canary = [wanted.as_slice(), &[("canary", "")]].concat();
    assert_eq!(policies[0].id.to_string(), "payments/a");
    assert_eq!((policies[0].kind(), policies[0].source.line), (Kind::Namespaced, 3));
    assert_eq!(scope.check(&pod("payments", &wanted)), Ok(()));
    assert_eq!(scope.check(&pod("dev", &wanted)), Err("namespace is `dev`, not `payments`".to_owned()));
    assert_eq!(
        scope.check(&pod("payments", &wanted[..2])),
        Err("it has no label tier, which must be one of `front`, `back`".to_owned())
    );
    assert_eq!(
        scope.check(&pod("payments", &canary)),
        Err("label canary is ``, which is ruled out".to_owned())
    );
}

#[test]
fn without_a_selector_every_pod_is_meant() {
    for spec in [" {}", " {podSelector: {}}", " {podSelector: {matchLabels: {}, matchExpressions: []}}"] {
        let policies = accepted(&namespaced(spec));

        assert_eq!(pods(&policies[0]).check(&pod("payments", &[])), Ok(()), "{spec}");
    }
}

#[test]
fn a_cluster_policy_is_for_pods_by_any_of_three_fields() {
    for (spec, included, excluded) in [
        ("namespaces: [\"*\"]", &["*"][..], &[][..]),
        ("excludedNamespaces: [kube-system]", &[], &["kube-system"]),
        ("podSelector: {matchLabels: {app: web}}", &[], &[]),
        ("{namespaces: ['team-*', dev], excludedNamespaces: [team-x]}", &["team-*", "dev"], &["team-x"]),
    ] {
        let policies = accepted(&with_spec(&format!("  {spec}\n")));

        let NamespaceScope::Globs { included: given, excluded: not } = &pods(&policies[0]).namespaces else {
            unreachable!("{policies:?}")
        };
        assert_eq!(given.iter().map(NamespaceGlob::as_str).collect::<Vec<_>>(), included, "{spec}");
        assert_eq!(not.iter().map(NamespaceGlob::as_str).collect::<Vec<_>>(), excluded, "{spec}");
        assert_eq!(policies[0].kind(), Kind::ClusterPods);
    }
}

#[test]
fn a_mistake_in_the_metadata_of_a_keepalive_policy_is_shown_with_its_place_and_cure() {
    let label = "write lower-case letters, digits and `-`; it begins and ends with a letter or digit";
    let long = "a".repeat(64);
    for (metadata, place, message, help) in [
        ("{name: a}", "3:1: metadata", "`namespace` is missing", "add `namespace: a-namespace`"),
        ("{namespace: a}", "3:1: metadata", "`name` is missing", "add `name: a-name`"),
        ("{name: a, namespace: A}", "3:32: metadata.namespace", "`A` is not a DNS label", label),
        ("{name: a, namespace: a.b}", "3:32: metadata.namespace", "`a.b` is not a DNS label", label),
        ("{name: a, namespace: ''}", "3:32: metadata.namespace", "`` is not a DNS label", label),
        (
            &format!("{{name: a, namespace: {long}}}"),
            "3:32: metadata.namespace",
            &format!("`{}…` is 64 characters long", "a".repeat(60)),
            "the name of a namespace has at most 63 characters",
        ),
        (
            "{name: a, namespace: b, namespaces: c}",
            "3:35: metadata.namespaces",
            "`namespaces` is not known here",
            "the fields are name, namespace, labels, annotations. Did you mean `namespace`?",
        ),
    ] {
        let shown = refused(&format!("{NAMESPACED}metadata: {metadata}\nspec: {{}}\n"));

        assert_eq!(shown, [format!("p.yaml:{place}: {message}\n  help: {help}")], "{metadata}");
    }
    let metadata_missing = refused(&format!("{NAMESPACED}spec: {{}}\n"));
    let spec_missing = refused(&format!("{NAMESPACED}metadata: {{name: a, namespace: b}}\n"));
    assert!(metadata_missing[0].ends_with("add `metadata: {name: a-name, namespace: a-namespace}`"));
    assert!(spec_missing[0].ends_with("add `spec: {podSelector: {matchLabels: {app: web}}}`"));
}

#[test]
fn what_is_not_for_the_pods_of_one_namespace_is_not_for_a_keepalive_policy() {
    for field in ["cgroups: [x]", "namespaces: [x]", "excludedNamespaces: [x]"] {
        let (name, _) = field.split_once(':').unwrap_or_default();

        let shown = refused(&namespaced(&format!("\n  {field}")));

        assert_eq!(
            shown,
            [format!(
                "p.yaml:5:3: spec.{name}: a KeepalivePolicy is for the pods of its own namespace\n  help: remove it \
                 (`podSelector` selects among those pods), or make this a ClusterKeepalivePolicy"
            )]
        );
    }
    let unknown = refused(&namespaced("\n  selector: {}"));
    assert!(
        unknown[0].ends_with(
            "help: the fields are podSelector, priority, mode, direction, destinations, keepalive, userTimeout, options, applyToExisting, podOverrides"
        ),
        "{unknown:?}"
    );
}

#[test]
fn cgroups_and_pods_are_not_for_one_policy() {
    let shown = refused(&with_spec("  cgroups: [x]\n  namespaces: [a]\n  podSelector: {}\n"));

    let message = "a policy with `cgroups` is not for pods\n  \
                   help: make two policies: `cgroups` selects by path, whatever runs there";
    assert_eq!(
        shown,
        [
            format!("p.yaml:6:15: spec.namespaces: {message}"),
            format!("p.yaml:7:16: spec.podSelector: {message}"),
        ]
    );
}

#[test]
fn a_mistake_in_the_selection_of_pods_is_shown_with_its_place_and_cure() {
    let list = "list globs on the names of namespaces, such as `[payments, \"team-*\"]`, or remove the line";
    let namespace = "the name of a namespace is of lower-case letters, digits and `-`, and has a letter or digit at \
                     either end; `*`, `?`, `[a-z]` and `{a,b}` stand for several";
    let key = "write at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at either end; a DNS \
               subdomain and `/` may come before, as in `app.kubernetes.io/name`";
    let value = "write at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at either end, or \
                 nothing at all (`\"\"`)";
    let values = "list values of the label, such as `[web, api]`; to ask whether it is there at all, the operators \
                  are Exists and DoesNotExist";
    let of = |expression: &str| format!("podSelector: {{matchExpressions: [{{{expression}}}]}}");
    for (line, place, message, help) in [
        ("namespaces: []".to_owned(), "5:15: spec.namespaces", "no namespace is listed", list),
        (
            "namespaces: dev".to_owned(),
            "5:15: spec.namespaces",
            "a list is needed, this is the text `dev`",
            list,
        ),
        ("namespaces: [Dev]".to_owned(), "5:16: spec.namespaces[0]", "`Dev` matches no namespace", namespace),
        (
            "excludedNamespaces: [a, b, a]".to_owned(),
            "5:30: spec.excludedNamespaces[2]",
            "`a` is listed twice",
            "keep one of them",
        ),
        (
            format!("namespaces: [{}]", (0..1001).map(|i| format!("n{i}")).collect::<Vec<_>>().join(", ")),
            "5:15: spec.namespaces",
            "there are 1001",
            "there may be 1000",
        ),
        (
            "podSelector: {app: web}".to_owned(),
            "5:17: spec.podSelector.app",
            "`app` is not known here",
            "the fields are matchLabels, matchExpressions",
        ),
        (
            "podSelector: {matchLabels: {-app: web}}".to_owned(),
            "5:31: spec.podSelector.matchLabels.-app",
            "`-app` is not the name of a label",
            key,
        ),
        (
            "podSelector: {matchLabels: {A.io/app: web}}".to_owned(),
            "5:31: spec.podSelector.matchLabels.A.io/app",
            "`A.io/app` is not the name of a label",
            key,
        ),
        (
            "podSelector: {matchLabels: {app: 7}}".to_owned(),
            "5:36: spec.podSelector.matchLabels.app",
            "a text is needed, this is the number `7`",
            "put it in quotes, or write a label's value, such as `web`",
        ),
        (
            "podSelector: {matchLabels: {app: a/b}}".to_owned(),
            "5:36: spec.podSelector.matchLabels.app",
            "`a/b` is not the value of a label",
            value,
        ),
        (
            "podSelector: {matchLabels: {app: a, app: b}}".to_owned(),
            "5:39: spec.podSelector.matchLabels.app",
            "`app` is given twice, first in line 5",
            "keep one of them",
        ),
        (
            of("operator: Exists"),
            "5:36: spec.podSelector.matchExpressions[0]",
            "`key` is missing",
            "add `key: app`",
        ),
        (
            of("key: app"),
            "5:36: spec.podSelector.matchExpressions[0]",
            "`operator` is missing",
            "add `operator: Exists`",
        ),
        (
            of("key: app, operator: Equals"),
            "5:57: spec.podSelector.matchExpressions[0].operator",
            "`Equals` is not known",
            "write one of In, NotIn, Exists, DoesNotExist",
        ),
        (
            of("key: app, operator: In"),
            "5:36: spec.podSelector.matchExpressions[0]",
            "`values` is missing",
            "add `values: [web]`",
        ),
        (
            of("key: app, operator: NotIn, values: []"),
            "5:72: spec.podSelector.matchExpressions[0].values",
            "there is no value to compare with",
            values,
        ),
        (
            of("key: app, operator: Exists, values: [a]"),
            "5:73: spec.podSelector.matchExpressions[0].values",
            "the operators Exists and DoesNotExist take no values",
            "remove them, or write the operator In or NotIn",
        ),
        (
            of(&format!(
                "key: app, operator: In, values: [{}]",
                (0..101).map(|i| format!("v{i}")).collect::<Vec<_>>().join(", ")
            )),
            "5:69: spec.podSelector.matchExpressions[0].values",
            "there are 101",
            "there may be 100",
        ),
        (
            format!(
                "podSelector: {{matchLabels: {{{}}}}}",
                (0..51).map(|i| format!("l{i}: v")).collect::<Vec<_>>().join(", ")
            ),
            "5:30: spec.podSelector.matchLabels",
            "there are 51",
            "there may be 50",
        ),
    ] {
        let shown = refused(&with_spec(&format!("  {line}\n")));

        assert_eq!(shown, [format!("p.yaml:{place}: {message}\n  help: {help}")], "{line}");
    }
}

#[test]
fn labels_are_as_kubernetes_takes_them() {
    let longest = "k".repeat(63);
    let prefix = ["p".repeat(126), "q".repeat(126)].join(".");
    let with_label = |key: &str, value: &str| {
        format!(
            "{HEADER}metadata: {{name: a}}\nspec: {{podSelector: {{matchLabels: {{\"{key}\": \"{value}\"}}}}}}\n"
        )
    };
    for (key, value) in
        [("A", "B"), ("a_b.c-d", "1.2_3-4"), (&*longest, &*longest), (&format!("{prefix}/k"), "")]
    {
        assert_eq!(accepted(&with_label(key, value)).len(), 1, "{key}: {value}");
    }
    for key in ["", "/a", "a/", "a/b/c", "a b", "ä", &format!("{longest}k"), &format!("{prefix}p/k")] {
        let shown = refused(&with_label(key, "v")).concat();
        assert!(shown.contains(" is not the name of a label\n"), "{key}: {shown}");
    }
    for value in ["-a", "a-", "ä", "a b", &format!("{longest}k")] {
        let shown = refused(&with_label("k", value)).concat();
        assert!(shown.contains(" is not the value of a label\n"), "{value}: {shown}");
    }
}

#[test]
fn a_mistake_in_a_key_of_a_megabyte_is_shown_short() {
    let key = "k".repeat(1 << 19);

    let shown = refused(&with_spec(&format!("  podSelector:\n    matchLabels:\n      ? {key}\n      : v\n")))
        .concat();

    assert!(shown.contains(" is not the name of a label\n"), "{}", &shown[..200]);
    assert!(shown.len() < 500, "{} bytes", shown.len());
}
