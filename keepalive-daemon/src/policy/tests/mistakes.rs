use std::time::Duration;

use super::{Limits, limits, parse, refused, with_line, with_spec};

#[test]
fn a_mistake_in_a_spec_is_shown_with_its_place_and_cure() {
    for (line, place, message, help) in [
        // idle and interval
        (
            "keepalive: {idle: 40000s}",
            "6:21: spec.keepalive.idle",
            "40000s is out of range",
            "the kernel takes 1s to 32767s",
        ),
        (
            "keepalive: {idle: 0s}",
            "6:21: spec.keepalive.idle",
            "0s is out of range",
            "the kernel takes 1s to 32767s",
        ),
        ("keepalive: {idle: 60}", "6:21: spec.keepalive.idle", "`60` has no unit", "write `60s`"),
        ("keepalive: {idle: '60'}", "6:21: spec.keepalive.idle", "`60` has no unit", "write `60s`"),
        (
            "keepalive: {idle: 1500ms}",
            "6:21: spec.keepalive.idle",
            "1500ms is not a whole number of seconds",
            "the kernel takes 1s to 32767s",
        ),
        (
            "keepalive: {idle: soon}",
            "6:21: spec.keepalive.idle",
            "`soon` is not a duration",
            "write a number and its unit, such as `60s`, `2m`, `1h` or `1m30s`",
        ),
        (
            "keepalive: {idle: -5}",
            "6:21: spec.keepalive.idle",
            "`-5` is not a duration",
            "write a number and its unit, such as `60s`, `2m`, `1h` or `1m30s`",
        ),
        (
            "keepalive: {idle: [60s]}",
            "6:21: spec.keepalive.idle",
            "a duration is needed, this is a list",
            "write a duration such as `60s` or `1m30s`",
        ),
        (
            "keepalive: {idle: }",
            "6:19: spec.keepalive.idle",
            "there is no value",
            "write a duration such as `60s` or `1m30s`, or remove the line",
        ),
        (
            "keepalive: {interval: 1d}",
            "6:25: spec.keepalive.interval",
            "86400s is out of range",
            "the kernel takes 1s to 32767s",
        ),
        // probes
        (
            "keepalive: {probes: 0}",
            "6:23: spec.keepalive.probes",
            "0 is out of range",
            "the kernel takes 1 to 127",
        ),
        (
            "keepalive: {probes: 128}",
            "6:23: spec.keepalive.probes",
            "128 is out of range",
            "the kernel takes 1 to 127",
        ),
        (
            "keepalive: {probes: -1}",
            "6:23: spec.keepalive.probes",
            "-1 is out of range",
            "the kernel takes 1 to 127",
        ),
        (
            "keepalive: {probes: '4'}",
            "6:23: spec.keepalive.probes",
            "a whole number is needed, this is the text `4`",
            "write 4, without quotes",
        ),
        (
            "keepalive: {probes: 4.5}",
            "6:23: spec.keepalive.probes",
            "a whole number is needed, this is the number `4.5`",
            "write a number of probes, such as `4`",
        ),
        (
            "keepalive: {probes: 99999999999999999999}",
            "6:23: spec.keepalive.probes",
            "a whole number is needed, this is the number `100000000000000000000`",
            "write a number of probes, such as `4`",
        ),
        (
            "keepalive: 60s",
            "6:14: spec.keepalive",
            "a mapping is needed, this is the text `60s`",
            "the fields are idle, interval, probes",
        ),
        // userTimeout
        (
            "userTimeout: 90",
            "6:16: spec.userTimeout",
            "`90` has no unit",
            "write `90s`, or `auto` for idle + interval × probes",
        ),
        (
            "userTimeout: Auto",
            "6:16: spec.userTimeout",
            "`Auto` is not a duration",
            "write a number and its unit, such as `60s`, `2m`, `1h` or `1m30s`, or `auto` for idle + interval × probes",
        ),
        (
            "userTimeout: 0s",
            "6:16: spec.userTimeout",
            "0s is no timeout",
            "leave it out and sockets keep their own user timeout, or write `auto`, or a duration such as `90s`",
        ),
        (
            "userTimeout: 1500us",
            "6:16: spec.userTimeout",
            "1500000ns is not a whole number of milliseconds",
            "the kernel takes 1ms to 2147483647ms",
        ),
        (
            "userTimeout: 2147483648ms",
            "6:16: spec.userTimeout",
            "2147483648ms is out of range",
            "the kernel takes 1ms to 2147483647ms (24 days)",
        ),
        (
            "userTimeout: false",
            "6:16: spec.userTimeout",
            "a duration is needed, this is `false`",
            "write `auto`, or a duration such as `90s`",
        ),
        // the rest
        (
            "mode: Enforced",
            "6:9: spec.mode",
            "`Enforced` is not known",
            "write one of Monitor, FillMissing, Tighten, Enforce. Did you mean `Enforce`?",
        ),
        (
            "mode: tighten",
            "6:9: spec.mode",
            "`tighten` is not known",
            "write one of Monitor, FillMissing, Tighten, Enforce. Did you mean `Tighten`?",
        ),
        (
            "direction: 1",
            "6:14: spec.direction",
            "a text is needed, this is the number `1`",
            "put it in quotes, or write one of Outbound, Inbound, Both",
        ),
        (
            "priority: high",
            "6:13: spec.priority",
            "a whole number is needed, this is the text `high`",
            "write a whole number from -2147483648 to 2147483647",
        ),
        (
            "priority: 2147483648",
            "6:13: spec.priority",
            "2147483648 is out of range",
            "write a whole number from -2147483648 to 2147483647",
        ),
        (
            "modes: Monitor",
            "6:3: spec.modes",
            "`modes` is not known here",
            "the fields are cgroups, namespaces, excludedNamespaces, podSelector, priority, mode, direction, destinations, keepalive, userTimeout, options, applyToExisting, podOverrides. Did you mean `mode`?",
        ),
        (
            "podSelector: {}",
            "6:16: spec.podSelector",
            "a policy with `cgroups` is not for pods",
            "make two policies: `cgroups` selects by path, whatever runs there",
        ),
        (
            "keepalive: {Idle: 60s}",
            "6:15: spec.keepalive.Idle",
            "`Idle` is not known here",
            "the fields are idle, interval, probes. Did you mean `idle`?",
        ),
        (
            "cgroups: [y]",
            "6:3: spec.cgroups",
            "`cgroups` is given twice, first in line 5",
            "keep one of them",
        ),
        (
            "1: y",
            "6:3: spec",
            "the name of a field is a text, this is the number `1`",
            "the fields are cgroups, namespaces, excludedNamespaces, podSelector, priority, mode, direction, destinations, keepalive, userTimeout, options, applyToExisting, podOverrides",
        ),
    ] {
        let shown = refused(&with_line(line));
        assert_eq!(shown, [format!("p.yaml:{place}: {message}\n  help: {help}")], "{line}");
    }
}

#[test]
fn auto_that_exceeds_what_the_kernel_takes_is_refused() {
    let line = "keepalive: {idle: 32767s, interval: 32767s, probes: 127}\n  userTimeout: auto";

    let shown = refused(&with_line(line));

    assert_eq!(
        shown,
        ["p.yaml:7:16: spec.userTimeout: idle + interval × probes = 4194176s is out of range\n  \
          help: the kernel takes 1ms to 2147483647ms (24 days)"]
    );
}

#[test]
fn all_mistakes_of_all_documents_are_reported_in_the_order_of_the_text() {
    let bad = with_line("keepalive: {idle: 60, probes: 200}\n  nonsense: 1\n  mode: x");
    let good = with_line("mode: Monitor");

    let shown = refused(&format!("{bad}---\n{good}---\n{bad}"));

    let places: Vec<_> = shown.iter().map(|s| s.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(
        places,
        [
            "p.yaml:6:21: spec.keepalive.idle",
            "p.yaml:6:33: spec.keepalive.probes",
            "p.yaml:7:3: spec.nonsense",
            "p.yaml:8:9: spec.mode",
            "p.yaml:22:21: spec.keepalive.idle",
            "p.yaml:22:33: spec.keepalive.probes",
            "p.yaml:23:3: spec.nonsense",
            "p.yaml:24:9: spec.mode",
        ]
    );
}

#[test]
fn the_hundredth_mistake_is_the_last_one_that_is_told() {
    let nonsense: String = (0..150).map(|i| format!("  nonsense{i}: 1\n")).collect();

    let shown = refused(&with_spec(&format!("  cgroups: [x]\n{nonsense}")));

    assert_eq!(shown.len(), 101);
    assert_eq!(shown[100], "p.yaml: 50 more mistakes follow\n  help: mend those above first");
}

#[test]
fn the_floor_on_idle_is_the_operators() {
    let floor = Limits::new;
    let idle = |idle: &str| with_line(&format!("keepalive: {{idle: {idle}}}"));

    let below = parse("p.yaml", &idle("4s"), &Limits::default()).unwrap_err();
    let at = parse("p.yaml", &idle("5s"), &Limits::default()).unwrap();
    let default = parse("p.yaml", &with_line("priority: 1"), &floor(Duration::from_secs(300))).unwrap();
    let rounded = parse("p.yaml", &idle("2s"), &floor(Duration::from_millis(2001))).unwrap_err();

    assert_eq!(
        below[0].to_string(),
        "p.yaml:6:21: spec.keepalive.idle: 4s is out of range\n  \
         help: this daemon (--min-idle) and the kernel take 5s to 32767s"
    );
    assert_eq!(at[0].timers.idle_s, 5);
    assert_eq!(default[0].timers.idle_s, 300, "a floor above the default lifts it");
    assert!(rounded[0].help.contains("take 3s to"), "{}", rounded[0]);
}

#[test]
fn what_is_shown_has_no_control_characters() {
    let shown = refused(&with_line("\"\\e[31m\\n\\u202e\": 1"));

    assert_eq!(shown.len(), 1);
    assert!(
        shown[0].starts_with("p.yaml:6:3: spec.\\u{1b}[31m\\n\\u{202e}: `\\u{1b}[31m\\n\\u{202e}` is"),
        "{}",
        shown[0]
    );
}

#[test]
fn a_diagnostic_is_json_for_programs() {
    let mistakes = parse("p.yaml", &with_line("keepalive: {idle: 60}"), &limits()).unwrap_err();

    let json = serde_json::to_value(&mistakes[0]).unwrap();

    let expected = serde_json::json!({
        "file": "p.yaml", "line": 6, "column": 21, "field": "spec.keepalive.idle",
        "message": "`60` has no unit", "help": "write `60s`",
    });
    assert_eq!(json, expected);
}
