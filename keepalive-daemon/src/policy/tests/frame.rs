use super::{HEADER, refused, with_spec};

#[test]
fn a_mistake_in_the_cgroups_is_shown_with_its_place_and_cure() {
    let list = "list globs on cgroup paths, such as `[\"system.slice/nginx.service\", \"docker/*\"]`";
    let or_remove = format!("{list}, or remove the line");
    for (cgroups, place, message, help) in [
        ("", "5:10: spec.cgroups", "there is no value", or_remove.as_str()),
        (" []", "5:12: spec.cgroups", "no cgroup is selected", list),
        (" docker", "5:12: spec.cgroups", "a list is needed, this is the text `docker`", list),
        (
            " [a, 7]",
            "5:16: spec.cgroups[1]",
            "a text is needed, this is the number `7`",
            "put it in quotes, or write a path such as `\"docker/*\"`",
        ),
        (" [a, b, a]", "5:19: spec.cgroups[2]", "`a` is listed twice", "keep one of them"),
        (" [\"a//b\"]", "5:13: spec.cgroups[0]", "`a//b` has an empty path component", "write `a/b`"),
    ] {
        let shown = refused(&with_spec(&format!("  cgroups:{cgroups}\n")));
        assert_eq!(shown, [format!("p.yaml:{place}: {message}\n  help: {help}")], "{cgroups}");
    }
}

#[test]
fn a_mistake_in_the_frame_is_shown_with_its_place_and_cure() {
    let api = "apiVersion: keepalive.dev/v1alpha1\n";
    let rest = "metadata: {name: a}\nspec: {cgroups: [x]}\n";
    for (text, expected) in [
        (
            "hello".to_owned(),
            "p.yaml:1:1: a policy is needed, this is the text `hello`\n  \
             help: begin with `apiVersion: keepalive.dev/v1alpha1`",
        ),
        (
            format!("kind: ClusterKeepalivePolicy\n{rest}"),
            "p.yaml:1:1: `apiVersion` is missing\n  help: add `apiVersion: keepalive.dev/v1alpha1`",
        ),
        (
            format!("apiVersion: v1\nkind: ClusterKeepalivePolicy\n{rest}"),
            "p.yaml:1:13: apiVersion: `v1` is not known\n  \
             help: write `apiVersion: keepalive.dev/v1alpha1`",
        ),
        (format!("{api}{rest}"), "p.yaml:1:1: `kind` is missing\n  help: add `kind: ClusterKeepalivePolicy`"),
        (
            format!("{api}kind: NetworkPolicy\n{rest}"),
            "p.yaml:2:7: kind: `NetworkPolicy` is not known\n  \
             help: the kinds are ClusterKeepalivePolicy, KeepalivePolicy",
        ),
        (
            format!("{api}kind: ClusterKeepAlivePolicy\n{rest}"),
            "p.yaml:2:7: kind: `ClusterKeepAlivePolicy` is not known\n  \
             help: the kinds are ClusterKeepalivePolicy, KeepalivePolicy. Did you mean `ClusterKeepalivePolicy`?",
        ),
        (
            format!("{HEADER}spec: {{cgroups: [x]}}\n"),
            "p.yaml:1:1: `metadata` is missing\n  help: add `metadata: {name: a-name}`",
        ),
        (
            format!("{HEADER}metadata: {{name: a}}\n"),
            "p.yaml:1:1: `spec` is missing\n  help: add `spec: {cgroups: [\"system.slice/*\"]}`",
        ),
        (
            format!("{HEADER}metadata: {{}}\nspec: {{cgroups: [x]}}\n"),
            "p.yaml:3:1: metadata: `name` is missing\n  help: add `name: a-name`",
        ),
        (
            format!("{HEADER}metadata: {{name: a}}\nspec: {{mode: Monitor}}\n"),
            "p.yaml:4:1: spec: neither pods nor cgroups are selected\n  \
             help: add `namespaces: [\"*\"]` for every pod, or `cgroups: [\"system.slice/*\"]`",
        ),
        (
            format!("{HEADER}metadata: {{name: 7}}\nspec: {{cgroups: [x]}}\n"),
            "p.yaml:3:18: metadata.name: a text is needed, this is the number `7`\n  \
             help: put it in quotes, or write lower-case letters, digits, `-` and `.`; each part between dots \
             begins and ends with a letter or digit",
        ),
        (
            format!("{HEADER}metadata: {{name: a, namespace: b}}\nspec: {{cgroups: [x]}}\n"),
            "p.yaml:3:21: metadata.namespace: a ClusterKeepalivePolicy is of no namespace\n  \
             help: remove it, or make this a KeepalivePolicy: that is for the pods of its namespace",
        ),
        (
            format!("{HEADER}metadata: {{name: a, labels: [b]}}\nspec: {{cgroups: [x]}}\n"),
            "p.yaml:3:29: metadata.labels: a mapping is needed, this is a list\n  \
             help: write names and texts, such as `{team: checkout}`",
        ),
        (
            format!("{HEADER}{rest}status: {{}}\n"),
            "p.yaml:5:1: status: `status` is not known here\n  \
             help: the fields are apiVersion, kind, metadata, spec",
        ),
    ] {
        assert_eq!(refused(&text), [expected], "{text}");
    }
}

#[test]
fn of_a_document_of_another_kind_only_that_is_reported() {
    let shown = refused("apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n");

    assert_eq!(shown.len(), 2);
    assert!(shown[0].starts_with("p.yaml:1:13: apiVersion: "), "{}", shown[0]);
    assert!(shown[1].starts_with("p.yaml:2:7: kind: `ConfigMap` is not known"), "{}", shown[1]);
}
