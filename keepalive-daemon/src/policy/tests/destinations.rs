use keepalive_ebpf::Timers;

use super::super::{Limits, Policy, parse};
use super::{accepted, refused, with_line};

/// The rules of a policy, each as it is shown and with its values: idle, interval, probes and user timeout.
fn rules(policy: &Policy) -> Vec<(String, [u32; 4])> {
    let rules = policy.destinations.as_ref().unwrap().rules().iter();
    let values = |timers: Timers| {
        let Timers { idle_s, interval_s, probes, user_timeout_ms } = timers;
        [idle_s, interval_s, probes, user_timeout_ms]
    };
    rules.map(|rule| (rule.to_string(), values(rule.timers(&policy.inherited())))).collect()
}

#[test]
fn rules_change_the_values_of_their_policy_one_by_one() {
    let policies = accepted(&with_line(
        "keepalive: {idle: 100s, probes: 5}\n  userTimeout: auto\n  destinations:\n  \
         - {cidr: 10.0.0.0/8, ports: [5432, \"8000-8999\", \"80\"], keepalive: {idle: 30s}}\n  \
         - {cidr: \"2001:db8::/32\", keepalive: {interval: 7s, probes: 2}, userTimeout: 90s}\n  \
         - {ports: [443]}\n  - {cidr: 192.0.2.7}",
    ));

    assert_eq!(
        rules(&policies[0]),
        [
            ("10.0.0.0/8 ports 5432, 8000-8999, 80".to_owned(), [30, 15, 5, 105_000]),
            ("2001:db8::/32".to_owned(), [100, 7, 2, 90_000]),
            ("any address port 443".to_owned(), [100, 15, 5, 175_000]),
            ("192.0.2.7".to_owned(), [100, 15, 5, 175_000]),
        ]
    );
}

#[test]
fn a_policy_without_destinations_is_for_all() {
    assert_eq!(accepted(&with_line("priority: 1"))[0].destinations, None);
}

#[test]
fn a_mistake_in_the_destinations_is_shown_with_its_place_and_cure() {
    let list = "list rules, such as `[{cidr: 10.0.0.0/8, ports: [5432]}]`";
    let prefix = "write one such as `10.0.0.0/8` or `2001:db8::/32`, or an address; names are not resolved";
    let port = "write one such as `5432`, or a range such as `\"8000-8999\"`";
    for (destinations, place, message, help) in [
        ("10.0.0.0/8", "6:17: spec.destinations", "a list is needed, this is the text `10.0.0.0/8`", list),
        (
            "[]",
            "6:17: spec.destinations",
            "there is no destination",
            "list one, or remove the line: then the policy is for all",
        ),
        (
            "[10.0.0.0/8]",
            "6:18: spec.destinations[0]",
            "a mapping is needed, this is the text `10.0.0.0/8`",
            "the fields are cidr, ports, keepalive, userTimeout",
        ),
        (
            "[{keepalive: {idle: 30s}}]",
            "6:18: spec.destinations[0]",
            "neither addresses nor ports are said",
            "add `cidr: 10.0.0.0/8`, or `ports: [5432]`, or say both; `cidr: \"::/0\"` is every address",
        ),
        (
            "[{cidr: 10.0.0.0/8, port: 5432}]",
            "6:37: spec.destinations[0].port",
            "`port` is not known here",
            "the fields are cidr, ports, keepalive, userTimeout. Did you mean `ports`?",
        ),
        // cidr
        (
            "[{cidr: 10.1.2.3/8}]",
            "6:25: spec.destinations[0].cidr",
            "`10.1.2.3/8` has bits set behind its prefix",
            "write `10.0.0.0/8`, or `10.1.2.3` for this address alone",
        ),
        (
            "[{cidr: \"2001:db8::1/32\"}]",
            "6:25: spec.destinations[0].cidr",
            "`2001:db8::1/32` has bits set behind its prefix",
            "write `2001:db8::/32`, or `2001:db8::1` for this address alone",
        ),
        (
            "[{cidr: \"::ffff:10.1.0.0/104\"}]",
            "6:25: spec.destinations[0].cidr",
            "`::ffff:10.1.0.0/104` has bits set behind its prefix",
            "write `::ffff:10.0.0.0/104`, or `::ffff:10.1.0.0` for this address alone",
        ),
        (
            "[{cidr: 10.0.0.0/33}]",
            "6:25: spec.destinations[0].cidr",
            "`33` is not the length of an IPv4 prefix",
            "write 0 to 32",
        ),
        (
            "[{cidr: \"::/129\"}]",
            "6:25: spec.destinations[0].cidr",
            "`129` is not the length of an IPv6 prefix",
            "write 0 to 128",
        ),
        (
            "[{cidr: 10.0.0.0/255.0.0.0}]",
            "6:25: spec.destinations[0].cidr",
            "`255.0.0.0` is not the length of an IPv4 prefix",
            "write 0 to 32",
        ),
        (
            "[{cidr: db.example.org}]",
            "6:25: spec.destinations[0].cidr",
            "`db.example.org` is not a prefix of addresses",
            prefix,
        ),
        (
            "[{cidr: 10.0.0/8}]",
            "6:25: spec.destinations[0].cidr",
            "`10.0.0/8` is not a prefix of addresses",
            prefix,
        ),
        (
            "[{cidr: \"fe80::1%eth0\"}]",
            "6:25: spec.destinations[0].cidr",
            "`fe80::1%eth0` is not a prefix of addresses",
            prefix,
        ),
        (
            "[{cidr: [10.0.0.0/8]}]",
            "6:25: spec.destinations[0].cidr",
            "a text is needed, this is a list",
            "write a prefix such as `10.0.0.0/8`",
        ),
        (
            "[{cidr: }]",
            "6:23: spec.destinations[0].cidr",
            "there is no value",
            "write a prefix such as `10.0.0.0/8`, or remove the line",
        ),
        // ports
        (
            "[{ports: 5432}]",
            "6:26: spec.destinations[0].ports",
            "a list is needed, this is the number `5432`",
            "list ports and ranges of ports, such as `[5432, \"8000-8999\"]`",
        ),
        (
            "[{ports: []}]",
            "6:26: spec.destinations[0].ports",
            "no port is listed",
            "list one, or remove `ports`: then it is for all",
        ),
        (
            "[{ports: [0]}]",
            "6:27: spec.destinations[0].ports[0]",
            "`0` is out of range",
            "ports are 1 to 65535",
        ),
        (
            "[{ports: [80, 65536]}]",
            "6:31: spec.destinations[0].ports[1]",
            "`65536` is out of range",
            "ports are 1 to 65535",
        ),
        (
            "[{ports: [-1]}]",
            "6:27: spec.destinations[0].ports[0]",
            "`-1` is out of range",
            "ports are 1 to 65535",
        ),
        (
            "[{ports: [\"0-80\"]}]",
            "6:27: spec.destinations[0].ports[0]",
            "`0` is out of range",
            "ports are 1 to 65535",
        ),
        (
            "[{ports: [\"8999-8000\"]}]",
            "6:27: spec.destinations[0].ports[0]",
            "`8999-8000` ends before it begins",
            "write `\"8000-8999\"`",
        ),
        ("[{ports: [http]}]", "6:27: spec.destinations[0].ports[0]", "`http` is not a port", port),
        ("[{ports: [\"80-\"]}]", "6:27: spec.destinations[0].ports[0]", "`80-` is not a port", port),
        (
            "[{ports: [80.5]}]",
            "6:27: spec.destinations[0].ports[0]",
            "a port is needed, this is the number `80.5`",
            port,
        ),
        (
            "[{ports: [80, \"80\"]}]",
            "6:31: spec.destinations[0].ports[1]",
            "`80` is listed twice",
            "keep one of them",
        ),
        // values
        (
            "[{ports: [80], keepalive: {idle: 60}}]",
            "6:50: spec.destinations[0].keepalive.idle",
            "`60` has no unit",
            "write `60s`",
        ),
        (
            "[{ports: [80], keepalive: {probes: 128}}]",
            "6:52: spec.destinations[0].keepalive.probes",
            "128 is out of range",
            "the kernel takes 1 to 127",
        ),
        (
            "[{ports: [80], keepalive: {noDelay: true}}]",
            "6:44: spec.destinations[0].keepalive.noDelay",
            "`noDelay` is not known here",
            "the fields are idle, interval, probes",
        ),
        (
            "[{ports: [80], userTimeout: 0s}]",
            "6:45: spec.destinations[0].userTimeout",
            "0s is no timeout",
            "leave it out and sockets keep their own user timeout, or write `auto`, or a duration such as `90s`",
        ),
    ] {
        let shown = refused(&with_line(&format!("destinations: {destinations}")));

        assert_eq!(shown, [format!("p.yaml:{place}: {message}\n  help: {help}")], "{destinations}");
    }
}

#[test]
fn each_port_of_a_rule_counts() {
    let text = |rules: usize, ports: usize| {
        let ports: Vec<String> = (1..=ports).map(|port| port.to_string()).collect();
        let rules = vec![format!("{{cidr: 10.0.0.0/8, ports: [{}]}}", ports.join(", ")); rules];
        with_line(&format!("destinations: [{}]", rules.join(", ")))
    };

    assert_eq!(accepted(&text(16, 4)).len(), 1);
    for (rules, ports) in [(13, 5), (1, 65), (65, 1)] {
        assert_eq!(
            refused(&text(rules, ports)),
            [
                "p.yaml:6:17: spec.destinations: there are 65 rules, as each port or range of ports of one counts\n  \
              help: there may be 64: join ports to ranges and prefixes to shorter ones"
            ]
        );
    }
}

#[test]
fn a_rule_is_not_blamed_for_its_policy() {
    let shown = refused(&with_line(
        "keepalive: {idle: 40000s}\n  destinations: [{ports: [80]}, {ports: [81], keepalive: {probes: 0}}]",
    ));

    let places: Vec<_> = shown.iter().filter_map(|shown| shown.split(": ").nth(1)).collect();
    assert_eq!(places, ["spec.keepalive.idle", "spec.destinations[1].keepalive.probes"]);
}

#[test]
fn auto_is_checked_where_a_rule_makes_it_another() {
    let shown = refused(&with_line(
        "userTimeout: auto\n  destinations: [{ports: [80], keepalive: {interval: 32767s, probes: 127}}]",
    ));

    assert_eq!(
        shown,
        ["p.yaml:7:18: spec.destinations[0]: idle + interval × probes = 4161469s is out of range\n  \
          help: the kernel takes 1ms to 2147483647ms (24 days)"]
    );
}

#[test]
fn the_floor_on_idle_holds_for_rules_too() {
    let text = with_line("destinations: [{ports: [80], keepalive: {idle: 4s}}]");

    let mistakes = parse("p.yaml", &text, &Limits::default()).unwrap_err();

    assert!(mistakes[0].help.contains("this daemon (--min-idle)"), "{}", mistakes[0]);
}

#[test]
fn whether_open_connections_are_left_alone_is_said() {
    for (line, expected) in
        [("priority: 0", true), ("applyToExisting: true", true), ("applyToExisting: false", false)]
    {
        assert_eq!(accepted(&with_line(line))[0].apply_to_existing, expected, "{line}");
    }
    assert_eq!(
        refused(&with_line("applyToExisting: later")),
        ["p.yaml:6:20: spec.applyToExisting: `true` or `false` is needed, this is the text `later`\n  \
          help: write whether connections that are open already get what new ones get, as they do where nothing is \
          said"]
    );
}
