use std::time::Duration;

use super::super::{Limits, Overrides, Within, parse};
use super::{accepted, refused, with_line};

#[test]
fn a_policy_says_what_pods_may_change() {
    let s = Duration::from_secs;
    let policies = accepted(&with_line(
        "podOverrides: {optOut: false, idle: {min: 30s, max: 5m}, interval: {min: 1s, max: 1s}, \
         probes: {min: 2, max: 9}, userTimeout: {min: 500ms, max: 1h}}",
    ));

    assert_eq!(
        policies[0].overrides,
        Overrides {
            opt_out: false,
            idle: Some(Within { min: s(30), max: s(300) }),
            interval: Some(Within { min: s(1), max: s(1) }),
            probes: Some(Within { min: 2, max: 9 }),
            user_timeout: Some(Within { min: Duration::from_millis(500), max: s(3600) }),
        }
    );
}

#[test]
fn pods_may_opt_out_and_nothing_else_where_nothing_is_said() {
    for line in ["priority: 0", "podOverrides: {}"] {
        let overrides = &accepted(&with_line(line))[0].overrides;

        let Overrides { opt_out, idle, interval, probes, user_timeout } = overrides;
        assert!(opt_out, "{line}");
        assert_eq!((idle, interval, probes, user_timeout), (&None, &None, &None, &None), "{line}");
    }
}

#[test]
fn a_mistake_in_the_overrides_is_shown_with_its_place_and_cure() {
    for (overrides, place, message, help) in [
        (
            "{optOut: yes}",
            "6:26: spec.podOverrides.optOut",
            "`true` or `false` is needed, this is the text `yes`",
            "write whether a pod may opt out, as it may where nothing is said",
        ),
        (
            "{optout: true}",
            "6:18: spec.podOverrides.optout",
            "`optout` is not known here",
            "the fields are optOut, idle, interval, probes, userTimeout. Did you mean `optOut`?",
        ),
        ("{idle: {min: 30s}}", "6:18: spec.podOverrides.idle", "`max` is missing", "add `max: 5m`"),
        ("{probes: {max: 3}}", "6:18: spec.podOverrides.probes", "`min` is missing", "add `min: 2`"),
        (
            "{idle: 30s}",
            "6:24: spec.podOverrides.idle",
            "a mapping is needed, this is the text `30s`",
            "the fields are min, max",
        ),
        (
            "{interval: {min: 2m, max: 1m}}",
            "6:28: spec.podOverrides.interval",
            "`min` is more than `max`",
            "write the smaller one as `min`",
        ),
        ("{idle: {min: 30, max: 5m}}", "6:30: spec.podOverrides.idle.min", "`30` has no unit", "write `30s`"),
        (
            "{interval: {min: 1s, max: 40000s}}",
            "6:43: spec.podOverrides.interval.max",
            "40000s is out of range",
            "the kernel takes 1s to 32767s",
        ),
        (
            "{probes: {min: 0, max: 3}}",
            "6:32: spec.podOverrides.probes.min",
            "0 is out of range",
            "the kernel takes 1 to 127",
        ),
        (
            "{userTimeout: {min: auto, max: 3m}}",
            "6:37: spec.podOverrides.userTimeout.min",
            "`auto` is not a duration",
            "write a number and its unit, such as `60s`, `2m`, `1h` or `1m30s`",
        ),
        (
            "{userTimeout: {min: 0s, max: 3m}}",
            "6:37: spec.podOverrides.userTimeout.min",
            "0s is no timeout",
            "leave it out and sockets keep their own user timeout, or write `auto`, or a duration such as `90s`",
        ),
    ] {
        let shown = refused(&with_line(&format!("podOverrides: {overrides}")));

        assert_eq!(shown, [format!("p.yaml:{place}: {message}\n  help: {help}")], "{overrides}");
    }
}

#[test]
fn pods_may_not_be_let_below_the_operators_floor() {
    let text = with_line("podOverrides: {idle: {min: 4s, max: 5m}}");

    let mistakes = parse("p.yaml", &text, &Limits::default()).unwrap_err();

    assert_eq!(
        mistakes[0].to_string(),
        "p.yaml:6:30: spec.podOverrides.idle.min: 4s is out of range\n  \
         help: this daemon (--min-idle) and the kernel take 5s to 32767s"
    );
}

#[test]
fn the_values_of_the_policy_itself_need_not_be_within_its_bounds() {
    let policies = accepted(&with_line("podOverrides: {idle: {min: 5m, max: 10m}}"));

    assert_eq!(policies[0].timers.idle_s, 60);
}
