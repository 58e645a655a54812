#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;
use crate::policy::parse;

/// The policy `p` with `spec` added to the selection of every pod.
fn policy(spec: &str) -> Policy {
    let text = format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: p}}\nspec:\n  \
         namespaces: ['*']\n{spec}\n"
    );
    let limits = Limits::new(Duration::from_secs(1));
    let [policy] = parse("p.yaml", &text, &limits).unwrap().try_into().unwrap();
    policy
}

/// A policy that lets pods change everything.
fn lenient() -> Policy {
    policy(
        "  podOverrides: {idle: {min: 30s, max: 5m}, interval: {min: 5s, max: 1m}, probes: {min: 2, max: 9}, \
         userTimeout: {min: 1m, max: 10m}}",
    )
}

fn pod(annotations: &[(&str, &str)]) -> PodFacts {
    let annotations = annotations.iter().map(|(key, value)| {
        (
            if key.contains('/') { (*key).to_owned() } else { format!("keepalive.dev/{key}") },
            (*value).to_owned(),
        )
    });
    PodFacts { annotations: annotations.collect(), ..PodFacts::default() }
}

/// Idle, interval, probes and user timeout in milliseconds.
fn values(governed: &Governed) -> [u32; 4] {
    let Timers { idle_s, interval_s, probes, user_timeout_ms } = governed.timers;
    [idle_s, interval_s, probes, user_timeout_ms]
}

/// The refusals as `annotation: reason`.
fn refused(governed: &Governed) -> Vec<String> {
    governed.refused.iter().map(|refused| format!("{}: {}", refused.annotation, refused.reason)).collect()
}

const NOTHING: [String; 0] = [];

#[test]
fn a_pod_without_annotations_has_the_values_of_the_policy() {
    let foreign = pod(&[("app.kubernetes.io/idle", "1s"), ("keepalive.device/idle", "1s")]);
    for pod in [pod(&[]), foreign] {
        let governed = lenient().govern(&pod);

        assert_eq!(values(&governed), [60, 15, 4, 0]);
        assert!(!governed.opted_out);
        assert_eq!((governed.followed, governed.refused), (vec![], vec![]));
    }
}

#[test]
fn an_annotation_within_the_bounds_is_followed() {
    for (key, value, expected) in [
        ("idle", "30s", [30, 15, 4, 0]),
        ("idle", "5m", [300, 15, 4, 0]),
        ("idle", " 1m 30s ", [90, 15, 4, 0]),
        ("interval", "5s", [60, 5, 4, 0]),
        ("probes", "9", [60, 15, 9, 0]),
        ("user-timeout", "90s", [60, 15, 4, 90_000]),
        ("user-timeout", "60001ms", [60, 15, 4, 60_001]),
        ("user-timeout", "auto", [60, 15, 4, 120_000]),
    ] {
        let governed = lenient().govern(&pod(&[(key, value)]));

        assert_eq!(values(&governed), expected, "{key}: {value}");
        assert_eq!(governed.followed, [format!("keepalive.dev/{key}: {}", value.trim())]);
        assert_eq!(refused(&governed), NOTHING);
    }
}

#[test]
fn an_annotation_that_asks_for_what_holds_anyway_changes_nothing() {
    let governed = lenient().govern(&pod(&[("idle", "60s"), ("probes", "4"), ("opt-out", "false")]));

    assert_eq!(values(&governed), [60, 15, 4, 0]);
    assert_eq!((governed.followed, governed.refused), (vec![], vec![]));
}

#[test]
fn an_annotation_that_cannot_be_followed_is_refused_with_its_reason() {
    let kernel = "the kernel takes 1s to 32767s";
    let unit = "write a number and its unit, such as `60s`, `2m`, `1h` or `1m30s`";
    let bounds = "is out of bounds: policy `p` allows";
    let long = "9".repeat(65);
    for (key, value, reason) in [
        ("idle", "30", "`30` has no unit (write `30s`)"),
        ("idle", "soon", &*format!("`soon` is not a duration ({unit})")),
        ("idle", "", &*format!("`` is not a duration ({unit})")),
        ("idle", "29s", &*format!("`29s` {bounds} 30s to 5m")),
        ("idle", "301s", &*format!("`301s` {bounds} 30s to 5m")),
        ("idle", "45500ms", &*format!("45500ms is not a whole number of seconds ({kernel})")),
        ("idle", "10h", &*format!("36000s is out of range ({kernel})")),
        ("interval", "2m", &*format!("`2m` {bounds} 5s to 1m")),
        ("probes", "3.5", "`3.5` is not a whole number (write `\"4\"`)"),
        ("probes", "three", "`three` is not a whole number (write `\"4\"`)"),
        ("probes", "1", &*format!("`1` {bounds} 2 to 9")),
        ("probes", "-1", "-1 is out of range (the kernel takes 1 to 127)"),
        (
            "probes",
            &long,
            &*format!("`{}…` is 65 bytes long (what it may say has at most 64)", "9".repeat(60)),
        ),
        ("user-timeout", "30s", &*format!("`30s` {bounds} 1m to 10m")),
        (
            "user-timeout",
            "never",
            &*format!("`never` is not a duration ({unit}, or `auto` for idle + interval × probes)"),
        ),
        ("opt-out", "True", "`True` is neither (write `\"true\"` or `\"false\"`. Did you mean `true`?)"),
        ("opt-out", "", "`` is neither (write `\"true\"` or `\"false\"`)"),
        ("opt-out", "1", "`1` is neither (write `\"true\"` or `\"false\"`)"),
        (
            "idel",
            "30s",
            "there is no such annotation (there are opt-out, idle, interval, probes, user-timeout. Did you mean \
             `keepalive.dev/idle`?)",
        ),
        ("", "x", "there is no such annotation (there are opt-out, idle, interval, probes, user-timeout)"),
    ] {
        let governed = lenient().govern(&pod(&[(key, value)]));

        assert_eq!(refused(&governed), [format!("keepalive.dev/{key}: {reason}")], "{key}: {value}");
        assert_eq!(values(&governed), [60, 15, 4, 0], "{key}: {value}");
        assert!(!governed.opted_out && governed.followed.is_empty(), "{key}: {value}");
    }
}

#[test]
fn each_annotation_is_refused_on_its_own() {
    let governed =
        lenient().govern(&pod(&[("idle", "1s"), ("interval", "10s"), ("probes", "x"), ("unknown", "")]));

    assert_eq!(values(&governed), [60, 10, 4, 0]);
    assert_eq!(governed.followed, ["keepalive.dev/interval: 10s"]);
    let keys: Vec<_> = governed.refused.iter().map(|refused| refused.annotation.as_str()).collect();
    assert_eq!(keys, ["keepalive.dev/idle", "keepalive.dev/probes", "keepalive.dev/unknown"]);
}

#[test]
fn what_the_policy_does_not_let_pods_change_stays() {
    let strict = policy("  podOverrides: {optOut: false}");
    let annotations = [("idle", "60s"), ("probes", "what"), ("opt-out", "true")];

    let governed = strict.govern(&pod(&annotations));

    assert!(!governed.opted_out);
    assert_eq!(values(&governed), [60, 15, 4, 0]);
    assert_eq!(governed.followed, NOTHING);
    assert_eq!(
        refused(&governed),
        [
            "keepalive.dev/opt-out: policy `p` lets no pod opt out (`podOverrides.optOut: false`)",
            "keepalive.dev/idle: policy `p` lets no pod change it (`podOverrides` does not name it)",
            "keepalive.dev/probes: policy `p` lets no pod change it (`podOverrides` does not name it)",
        ]
    );
    assert_eq!(refused(&strict.govern(&pod(&[("opt-out", "false")]))), NOTHING, "it asks for nothing");
}

#[test]
fn a_pod_opts_out_unless_told_otherwise_and_its_other_annotations_are_checked_all_the_same() {
    let governed = lenient().govern(&pod(&[("opt-out", "true"), ("idle", "30s"), ("probes", "x")]));

    assert!(governed.opted_out);
    assert!(policy("").govern(&pod(&[("opt-out", "true")])).opted_out);
    assert_eq!(governed.followed, ["keepalive.dev/opt-out: true"]);
    assert_eq!(refused(&governed), ["keepalive.dev/probes: `x` is not a whole number (write `\"4\"`)"]);
}

#[test]
fn auto_follows_the_values_that_a_pod_asked_for() {
    let bounds = "podOverrides: {idle: {min: 1s, max: 1h}, userTimeout: {min: 1m, max: 2m}}";
    let auto = policy(&format!("  userTimeout: auto\n  {bounds}"));
    let fixed = policy(&format!("  userTimeout: 90s\n  {bounds}"));
    for (policy, annotations, expected, reasons) in [
        // The policy's own is not bounded.
        (&auto, &[("idle", "10s")][..], [10, 15, 4, 70_000], &[][..]),
        (&auto, &[("idle", "1h")], [3600, 15, 4, 3_660_000], &[]),
        (&auto, &[("idle", "1h"), ("user-timeout", "100s")], [3600, 15, 4, 100_000], &[]),
        (&fixed, &[("idle", "10s")], [10, 15, 4, 90_000], &[]),
        (&fixed, &[("idle", "10s"), ("user-timeout", "auto")], [10, 15, 4, 70_000], &[]),
        (
            &fixed,
            &[("idle", "61s"), ("user-timeout", "auto")],
            [61, 15, 4, 90_000],
            &["`auto` comes to 2m 1s, which is out of bounds: policy `p` allows 1m to 2m"],
        ),
        (
            &auto,
            &[("idle", "61s"), ("user-timeout", "auto")],
            [61, 15, 4, 121_000],
            &["`auto` comes to 2m 1s, which is out of bounds: policy `p` allows 1m to 2m"],
        ),
    ] {
        let governed = policy.govern(&pod(annotations));

        assert_eq!(values(&governed), expected, "{annotations:?}");
        let given: Vec<_> = governed.refused.iter().map(|refused| refused.reason.as_str()).collect();
        assert_eq!(given, reasons, "{annotations:?}");
    }
}

#[test]
fn auto_that_exceeds_what_the_kernel_takes_is_the_most_it_takes() {
    let all = "{min: 1s, max: 32767s}";
    let policy = policy(&format!(
        "  userTimeout: auto\n  podOverrides: {{idle: {all}, interval: {all}, probes: {{min: 1, max: 127}}}}"
    ));

    let governed = policy.govern(&pod(&[("idle", "32767s"), ("interval", "32767s"), ("probes", "127")]));

    assert_eq!(values(&governed), [32767, 32767, 127, i32::MAX.unsigned_abs()]);
}

#[test]
fn the_policys_default_is_what_the_operators_floor_made_it() {
    let text = "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {name: p}\nspec: \
                {namespaces: ['*'], userTimeout: auto, podOverrides: {probes: {min: 1, max: 9}}}\n";
    let limits = Limits::new(Duration::from_secs(300));
    let policies = parse("p.yaml", text, &limits).unwrap();

    let governed = policies[0].govern(&pod(&[("probes", "5")]));

    assert_eq!(values(&governed), [300, 15, 5, 375_000]);
}

#[test]
fn hostile_annotations_come_to_few_short_and_printable_refusals() {
    let evil = "\u{1b}[31m\n\u{202e}\0é".to_owned() + &"x".repeat(4 << 20);
    let mut pod = pod(&[("idle", &evil), ("interval", &evil), ("probes", &evil)]);
    pod.annotations.insert(USER_TIMEOUT.to_owned(), evil.clone());
    pod.annotations.insert(OPT_OUT.to_owned(), evil.clone());
    pod.annotations.extend((0..10_000).map(|i| (format!("keepalive.dev/{i}\u{1b}"), evil[..9].to_owned())));
    pod.annotations.insert(format!("keepalive.dev/{evil}"), evil);

    let governed = lenient().govern(&pod);

    assert_eq!(values(&governed), [60, 15, 4, 0]);
    assert_eq!(governed.refused.len(), MOST_REFUSED + 1);
    let keys: Vec<_> = governed.refused[..5].iter().map(|refused| refused.annotation.as_str()).collect();
    assert_eq!(keys, KNOWN, "those that have a meaning are told first");
    assert_eq!(refused(&governed)[MOST_REFUSED], "keepalive.dev/…: 9996 more are not followed");
    for line in refused(&governed) {
        assert!(line.len() < 500 && !line.contains(char::is_control) && !line.contains('\u{202e}'), "{line}");
    }
}
