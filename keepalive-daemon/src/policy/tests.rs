#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod destinations;
mod frame;
mod mistakes;
mod options;
mod overrides;
mod pods;
mod yaml;

use std::time::Duration;

use keepalive_ebpf::{Direction, Mode, Timers};

use super::{Limits, Policy, Source, parse};

const HEADER: &str = "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\n";

fn limits() -> Limits {
    Limits::new(Duration::from_secs(1))
}

/// The policies of `text`, which is right.
fn accepted(text: &str) -> Vec<Policy> {
    match parse("p.yaml", text, &limits()) {
        Ok(policies) => policies,
        Err(mistakes) => unreachable!("{}", mistakes[0]),
    }
}

/// The mistakes in `text`, as they are shown.
fn refused(text: &str) -> Vec<String> {
    parse("p.yaml", text, &limits()).unwrap_err().iter().map(ToString::to_string).collect()
}

/// A document whose `spec` begins in line 4.
fn with_spec(spec: &str) -> String {
    format!("{HEADER}metadata: {{name: a}}\nspec:\n{spec}")
}

/// The policy with `line` added to a spec that is right.
fn with_line(line: &str) -> String {
    with_spec(&format!("  cgroups: [x]\n  {line}\n"))
}

#[test]
fn a_policy_says_all_it_can() {
    let policies = accepted(&format!(
        "{HEADER}metadata:\n  name: host-services\n  labels: {{team: net}}\n  annotations: {{}}\n\
         spec:\n  cgroups: [\"system.slice/nginx.service\", \"docker/*\", /]\n  priority: -7\n  mode: Monitor\n  \
         direction: Inbound\n  keepalive: {{idle: 2m, interval: 1m30s, probes: 9}}\n  userTimeout: 1500ms\n"
    ));

    let [policy] = policies.try_into().unwrap();
    let globs: Vec<_> = policy.scope.cgroups().iter().map(super::CgroupGlob::as_str).collect();
    assert_eq!(globs, ["system.slice/nginx.service", "docker/*", "/"]);
    assert_eq!(policy.id.to_string(), "host-services");
    assert_eq!(policy.source, Source { file: "p.yaml".into(), line: 4, column: 9 });
    assert_eq!((policy.priority, policy.mode, policy.direction), (-7, Mode::Monitor, Direction::Inbound));
    let timers = Timers { idle_s: 120, interval_s: 90, probes: 9, user_timeout_ms: 1500 };
    assert_eq!(policy.timers, timers);
}

#[test]
fn a_policy_that_only_selects_has_the_defaults() {
    let policies = accepted(&with_spec("  cgroups: [x]\n"));

    let [policy] = policies.try_into().unwrap();
    assert_eq!((policy.priority, policy.mode, policy.direction), (0, Mode::Tighten, Direction::Both));
    assert_eq!(policy.timers, Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 });
}

#[test]
fn auto_is_when_keep_alive_gives_up() {
    for (keepalive, user_timeout_ms) in
        [("{}", 120_000), ("{idle: 10s}", 70_000), ("{idle: 1s, interval: 1s, probes: 1}", 2000)]
    {
        let policies = accepted(&with_line(&format!("keepalive: {keepalive}\n  userTimeout: auto")));
        assert_eq!(policies[0].timers.user_timeout_ms, user_timeout_ms, "{keepalive}");
    }
}

#[test]
fn every_mode_and_direction_has_its_name() {
    for (name, mode) in [
        ("Monitor", Mode::Monitor),
        ("FillMissing", Mode::FillMissing),
        ("Tighten", Mode::Tighten),
        ("Enforce", Mode::Enforce),
    ] {
        assert_eq!(accepted(&with_line(&format!("mode: {name}")))[0].mode, mode);
    }
    for (name, direction) in
        [("Outbound", Direction::Outbound), ("Inbound", Direction::Inbound), ("Both", Direction::Both)]
    {
        assert_eq!(accepted(&with_line(&format!("direction: {name}")))[0].direction, direction);
    }
}

#[test]
fn values_at_the_kernels_limits_are_accepted() {
    for (line, expected) in [
        ("keepalive: {idle: 1s, interval: 1s, probes: 1}", [1, 1, 1, 0]),
        ("keepalive: {idle: 32767s, interval: 32767s, probes: 127}", [32767, 32767, 127, 0]),
        ("userTimeout: 1ms", [60, 15, 4, 1]),
        ("userTimeout: 2147483647ms", [60, 15, 4, 2_147_483_647]),
    ] {
        let Timers { idle_s, interval_s, probes, user_timeout_ms } = accepted(&with_line(line))[0].timers;
        assert_eq!([idle_s, interval_s, probes, user_timeout_ms], expected, "{line}");
    }
    for priority in [i32::MIN, i32::MAX] {
        assert_eq!(accepted(&with_line(&format!("priority: {priority}")))[0].priority, priority);
    }
}

#[test]
fn names_are_dns_subdomains() {
    let longest = ["a".repeat(126), "b".repeat(126)].join(".");
    for name in ["a", "0", "a-b", "a.b-c.d9", "a--b", &longest] {
        let text = with_line("").replace("name: a", &format!("name: \"{name}\""));
        assert_eq!(accepted(&text)[0].id.name, *name);
    }
    for name in ["", "A", "a_b", "-a", "a-", ".a", "a.", "a..b", "a.-b", "ä", "a b", "a/b"] {
        let text = with_line("").replace("name: a", &format!("name: \"{name}\""));
        let shown = refused(&text).concat();
        assert!(shown.starts_with("p.yaml:3:18: metadata.name: "), "{name}: {shown}");
        assert!(
            shown.contains(" is not a DNS subdomain\n  help: write lower-case letters"),
            "{name}: {shown}"
        );
    }
    let text = with_line("").replace("name: a", &format!("name: {longest}c"));
    assert!(refused(&text).concat().contains("is 254 characters long"));
}

#[test]
fn documents_are_read_one_by_one_and_empty_ones_skipped() {
    let one = with_spec("  cgroups: [x]\n");
    let other = one.replace("name: a", "name: b");

    let policies = accepted(&format!("# first\n---\n{one}---\n# nothing\n---\n---\n{other}---\n"));

    let places: Vec<_> = policies.iter().map(|p| (p.id.name.as_str(), p.source.line)).collect();
    assert_eq!(places, [("a", 5), ("b", 14)]);
}
