#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

fn globs(texts: &[&str]) -> NamespaceGlobs {
    NamespaceGlobs::new(texts.iter().map(|text| NamespaceGlob::parse(text).unwrap()).collect()).unwrap()
}

fn scope(namespaces: NamespaceScope) -> PodScope {
    PodScope { namespaces, selector: LabelSelector::default() }
}

fn pod(namespace: &str) -> PodFacts {
    PodFacts { namespace: namespace.to_owned(), ..PodFacts::default() }
}

#[test]
fn a_pod_of_another_namespace_is_told_so() {
    let one = || NamespaceScope::One("payments".to_owned());
    let among = |included: &[&str], excluded: &[&str]| NamespaceScope::Globs {
        included: globs(included),
        excluded: globs(excluded),
    };
    for (namespaces, namespace, expected) in [
        (one(), "payments", Ok(())),
        (one(), "dev", Err("namespace is `dev`, not `payments`")),
        (among(&[], &[]), "dev", Ok(())),
        (among(&["*"], &["kube-*"]), "dev", Ok(())),
        (among(&["*"], &["kube-*"]), "kube-system", Err("namespace `kube-system` is excluded")),
        (among(&[], &["dev"]), "dev", Err("namespace `dev` is excluded")),
        (among(&["dev"], &["dev"]), "dev", Err("namespace `dev` is excluded")),
        (among(&["team-*"], &[]), "dev", Err("namespace is `dev`, which does not match `team-*`")),
        (
            among(&["a", "b", "c", "d"], &[]),
            "dev",
            Err("namespace is `dev`, which does not match `a`, `b`, `c`, …"),
        ),
    ] {
        let scope = scope(namespaces);

        let checked = scope.check(&pod(namespace));

        assert_eq!(checked, expected.map_err(str::to_owned), "{scope:?}");
        assert_eq!(scope.selects(&pod(namespace)), expected.is_ok(), "{scope:?}");
    }
}

#[test]
fn a_hostile_namespace_is_shown_short_and_safe() {
    let hostile = "\u{1b}/\n".to_owned() + &"n".repeat(1 << 20);

    let reason = scope(NamespaceScope::One("a".to_owned())).check(&pod(&hostile)).unwrap_err();

    assert!(reason.starts_with("namespace is `\\u{1b}/\\nnnn"), "{reason}");
    assert!(reason.len() < 150, "{} bytes", reason.len());
}
