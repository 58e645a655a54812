//! `check`: connections against what forgets them.

use std::{fs, process::Output, time::Duration};

use serde_json::Value;
use xtask::lab::{
    Nat, Process, TEST_PREFIX,
    story::{ClientKind, Ending, Story, Timing},
};

use crate::{
    peer::Options,
    support::{Host, UNTOUCHED, connections_of, daemon, eventually, far_end, options},
};

crate::tests!(
    each_connection_is_held_against_what_is_said_to_be_on_its_way,
    the_nat_is_named_and_the_pasted_policy_is_the_cure,
);

/// Shorter than what any other test has a NAT forget after: which of those on the node is on the way nobody tells.
const NAT_TIMEOUT: Duration = Duration::from_secs(3);

fn check(host: &Host, arguments: &[&str]) -> Output {
    let mut command = daemon();
    command.args(["check", "-o", "json", "--min-idle", "1s", "--api-socket"]).arg(host.socket());
    command.args(arguments).env_remove("KEEPALIVE_CATALOGUE").output().unwrap()
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What was found of the connections to a port.
fn to_port(answer: &Value, port: u16) -> Value {
    let groups = answer["groups"].as_array().unwrap();
    let is_it = |group: &&Value| group["remote"].as_str().is_some_and(|it| it.ends_with(&format!(":{port}")));
    groups.iter().find(is_it).unwrap_or_else(|| panic!("{port} is not in {answer:#}")).clone()
}

/// The daemon of the whole node, for the clients of the story.
fn start(host: &Host) -> Process {
    let mut run = daemon();
    run.args(["run", "--min-idle", "1s", "--sweep-delay", "0s", "--cri-socket", "none", "--policies"]);
    run.arg(host.policies()).arg("--bpffs").arg(host.bpffs.path()).arg("--api-socket").arg(host.socket());
    let daemon = host.start_with(run);
    daemon.wait_line("ready: all policies").unwrap();
    daemon
}

fn the_nat_is_named_and_the_pasted_policy_is_the_cure() {
    // Time for two looks while the first client waits.
    let answer_after = Duration::from_secs(15);
    let timing = Timing { nat_timeout: NAT_TIMEOUT, answer_after, read_timeout: answer_after * 2 };
    let story = Story::new(TEST_PREFIX, timing).unwrap().0;
    let host = Host::new("check");
    let daemon = start(&host);
    let clients = ["--cgroup", story.cgroup().relative().to_str().unwrap()];
    let waiting = story.start(ClientKind::Python).unwrap();
    waiting.wait_asked().unwrap();
    assert_eq!(connections_of(waiting.process().pid()), [UNTOUCHED]);

    let before = check(&host, &clients);

    assert_eq!(before.status.code(), Some(3), "{}", String::from_utf8_lossy(&before.stderr));
    let told = answer(&before);
    let group = to_port(&told, 8080);
    assert_eq!(group["remote"], format!("{}:8080", Nat::SERVER_ADDRESS));
    assert_eq!((&group["verdict"], &group["problems"][0]["kind"]), (&"bad".into(), &"notArmed".into()));
    let cause = &group["problems"][0]["cause"];
    assert_eq!(cause["idleTimeoutSeconds"], NAT_TIMEOUT.as_secs());
    let nat = story.nat().nat.name();
    assert!(cause["name"].as_str().unwrap().contains(nat), "{nat}: {cause}");

    let mark = daemon.mark();
    host.write_policies("pasted.yaml", told["policy"].as_str().unwrap());
    daemon.wait_line_from(mark, "swept open connections").unwrap();

    let armed = options(true, 1, 1, 4, 0);
    eventually("the open connection is armed", || {
        (connections_of(waiting.process().pid()) == [armed]).then_some(())
    });
    drop(waiting);
    let cured = story.start(ClientKind::Python).unwrap();
    cured.wait_asked().unwrap();
    assert_eq!(connections_of(cured.process().pid()), [armed]);
    let after = check(&host, &clients);
    let told = answer(&after);
    assert_eq!(after.status.code(), Some(0), "{told:#}");
    let group = to_port(&told, 8080);
    assert_eq!((&group["verdict"], &group["longestIdleSeconds"]), (&"fine".into(), &1.into()));
    assert!(told.get("policy").is_none(), "what is fine needs no cure: {told:#}");
    assert_eq!(cured.wait().unwrap().ending, Ending::Answered, "and the NAT agrees");
    story.check().unwrap();
}

const OFFICE: &str = "\
middleboxes:
  - id: office
    profiles: []
    name: the firewall of the office
    idleTimeoutSeconds: 100
    range: fixed
    onExpiry: dropped
    keepAliveHelps: \"yes\"
    source: the manual
    checked: 2026-11-21
";

fn each_connection_is_held_against_what_is_said_to_be_on_its_way() {
    let host = Host::new("check-profiles");
    let app = host.cgroup("app");
    let _daemon = host.start();
    let (_netns, mut server) = far_end(&host, "10.79.3.1/24", "10.79.3.2/24");
    let mut client = host.peer(&app);
    // Nobody's timer, one that is too slow, one that is just not, one that gives up early, and one that is fine.
    let cases: [(&str, Options); 5] = [
        ("notArmed", UNTOUCHED),
        ("tooSlow", options(true, 350, 75, 9, 0)),
        ("tight", options(true, 200, 75, 9, 0)),
        ("userTimeoutTooShort", options(true, 60, 15, 4, 80_000)),
        ("", options(true, 60, 15, 4, 120_000)),
    ];
    let ports = cases.map(|(kind, options)| {
        let (listener, address) = server.listen("10.79.3.2:0", false);
        let socket = client.connect(address);
        server.accept(listener);
        client.set(socket, options);
        assert_eq!(client.options(socket), options);
        (kind, address.port())
    });
    let kinds = |told: &Value, port: u16| -> Vec<String> {
        let group = to_port(told, port);
        let problems = group["problems"].as_array().unwrap().clone();
        problems.iter().map(|problem| problem["kind"].as_str().unwrap().to_owned()).collect()
    };

    let output = check(&host, &["--profile", "aws", "--cgroup", "app"]);

    let told = answer(&output);
    assert_eq!(output.status.code(), Some(3), "{told:#}");
    for (kind, port) in ports {
        let expected = if kind.is_empty() { vec![] } else { vec![kind.to_owned()] };
        assert_eq!(kinds(&told, port), expected, "{told:#}");
    }
    let policy = told["policy"].as_str().unwrap();
    assert!(policy.contains("\"app\"") && policy.contains("idle: "), "{policy}");

    // What counts bytes is named, and what a probe helps against beside it.
    let told = answer(&check(&host, &["--profile", "aws,aws-alb", "--all"]));
    assert_eq!(kinds(&told, ports[4].1), ["cannotHelp"], "{told:#}");
    assert_eq!(kinds(&told, ports[1].1), ["cannotHelp", "tooSlow"], "{told:#}");

    // A file adds to the catalogue.
    let file = host.directory().join("catalogue.yaml");
    fs::write(&file, OFFICE).unwrap();
    let file = file.to_str().unwrap();
    let told = answer(&check(&host, &["--catalogue", file, "--profile", "office", "--cgroup", "a*"]));
    assert_eq!(kinds(&told, ports[2].1), ["tooSlow"], "{told:#}");
    assert_eq!(kinds(&told, ports[4].1), ["tight"], "{told:#}");

    // A question that is none fails, and is told from what is not fine.
    fs::write(file, OFFICE.replace("range", "rnage")).unwrap();
    for (arguments, says) in [
        (&["--profile", "amazon"][..], "there is no profile or middlebox \"amazon\""),
        (&["--catalogue", file], "rnage"),
        (&["--cgroup", "nowhere"], "nowhere"),
    ] {
        let output = check(&host, arguments);

        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(says), "{said}");
    }
}
