//! A container runtime that cannot be relied upon. It is none, and calls itself fake.

mod fake;

use std::fs;

use serde_json::Value;
use xtask::lab::{Cgroup, Process, Stream};

use self::fake::{Fake, Sandbox, Way};
use super::{ARMED, KEEPALIVE, await_governed, fresh};
use crate::support::{Host, UNTOUCHED, document, eventually};

crate::tests!(
    a_runtime_that_does_not_answer_as_it_should_ends_nothing,
    what_a_runtime_makes_up_harms_no_other_pod
);

const UID: &str = "0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";
const OTHER: &str = "1f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";

/// A host with a runtime that tells of one pod, and a daemon that governs it, and a cgroup of the host.
fn governed(label: &str) -> (Host, Fake, Cgroup, Process) {
    let host = Host::new(label);
    let pod = host.cgroup(&format!("kubepods/pod{UID}"));
    let of_pods = format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: KeepalivePolicy\nmetadata: {{name: all, namespace: shop}}\n\
         spec: {{{KEEPALIVE}}}\n---\n"
    );
    host.write_policies("p.yaml", &(of_pods + &document("p", "app*", KEEPALIVE)));
    let fake = Fake::start(&host.directory().join("fake.sock"));
    fake.tell(vec![honest()]);
    let mut command = host.command("run");
    command.env("KEEPALIVE_CRI_SOCKET", host.directory().join("fake.sock"));
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    assert_eq!(fresh(&host, &pod), [ARMED; 2]);
    (host, fake, pod, daemon)
}

fn honest() -> Sandbox {
    Sandbox::new("honest", UID).parent(&format!("/kubepods/pod{UID}"))
}

/// What `status` says is wrong with the runtime; absent if the daemon is too busy with its answer to give one.
fn trouble(host: &Host) -> Option<Value> {
    let output = host.run("status", &["-o", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(status["daemon"]["runtime"]["trouble"].clone())
}

fn a_runtime_that_does_not_answer_as_it_should_ends_nothing() {
    let (host, fake, pod, daemon) = governed("lying");
    let absurd = (0..20_000).map(|number| Sandbox::new(&format!("many-{number}"), &number.to_string()));
    let gigantic = Sandbox::new("gigantic", UID).label(&"x".repeat(17 << 20));
    for (number, (way, sandboxes, says)) in [
        (Way::Closes, vec![], "fake.sock"),
        (Way::SaysNothing, vec![], "no answer within"),
        (Way::HalfAnAnswer, vec![], "no answer within"),
        (Way::Answers, absurd.collect(), "it tells of 20000 sandboxes"),
        (Way::Answers, vec![gigantic], "message length too large"),
    ]
    .into_iter()
    .enumerate()
    {
        fake.tell(sandboxes);
        fake.turn(way);

        eventually(&format!("its trouble is named: {says}"), || {
            trouble(&host)?.as_str().is_some_and(|told| told.contains(says)).then_some(())
        });

        assert_eq!(fresh(&host, &pod), [ARMED; 2], "{way:?}");
        await_governed(&host, &daemon, &host.cgroup(&format!("app-{number}")));
        fake.tell(vec![honest()]);
        fake.turn(Way::Answers);
        eventually("it is asked again", || trouble(&host)?.is_null().then_some(()));
        assert_eq!(fresh(&host, &pod), [ARMED; 2]);
    }
    fake.turn(Way::Floods);
    eventually("it is followed while it floods", || trouble(&host)?.is_null().then_some(()));
    let late = host.cgroup(&format!("kubepods/pod{OTHER}"));
    fake.tell(vec![honest(), Sandbox::new("late", OTHER).parent(&format!("/kubepods/pod{OTHER}"))]);
    await_governed(&host, &daemon, &late);
    await_governed(&host, &daemon, &host.cgroup("app-flood"));
    let memory = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = memory.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let peak: usize = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 256 << 10, "{peak} kB");
}

fn what_a_runtime_makes_up_harms_no_other_pod() {
    let (host, fake, pod, daemon) = governed("made-up");
    let bystander = host.cgroup("bystander");
    let (deep, dashes) = ("[".repeat(1 << 20), format!("{}a.slice", "a-".repeat(1 << 20)));
    let evil = |name: &str| Sandbox::new(name, &format!("uid of {name}"));
    let made_up = vec![
        honest(),
        evil("up").parent("/kubepods/../bystander"),
        evil("root").parent("/"),
        evil("slices").parent("-.slice"),
        evil("dashes").parent(&dashes),
        evil("nul").parent("/bystander\0"),
        evil("line").parent("/by\nstander"),
        evil("escape\u{1b}[2J\n").parent("/nowhere\u{1b}[2J"),
        evil("deep").info(&deep),
        evil("list").info("[]"),
        evil("number").info(r#"{"config":{"linux":{"cgroup_parent":7}}}"#),
        // The older of two of one pod.
        Sandbox::new("older", UID).parent("/bystander").made(-1),
        evil("").parent("/bystander"),
    ];
    let count = made_up.len() - 1;

    fake.tell(made_up);
    fake.turn(Way::Answers);

    eventually("all is known of them", || {
        let status = host.status();
        let unreachable = status["unreachable"].as_array()?.len();
        (unreachable >= 10 && status["daemon"]["runtime"]["pods"] == count).then_some(())
    });
    assert_eq!((fresh(&host, &pod), fresh(&host, &bystander)), ([ARMED; 2], [UNTOUCHED; 2]));
    await_governed(&host, &daemon, &host.cgroup("app"));
    let table = host.run("status", &[]).stdout;
    assert!(!table.contains(&0x1b) && !daemon.text(Stream::Stderr).contains('\u{1b}'));

    // What two pods are said to share is governed for neither, and all others stay as they are.
    let other = host.cgroup(&format!("kubepods/pod{OTHER}"));
    let second = || Sandbox::new("second", OTHER).parent(&format!("/kubepods/pod{OTHER}"));
    fake.tell(vec![honest(), second(), evil("thief").parent(&format!("/kubepods/pod{OTHER}"))]);
    fake.turn(Way::Answers);
    eventually("the theft is told of", || {
        let unreachable = host.status()["unreachable"].to_string();
        unreachable.contains("is also that of pod").then_some(())
    });
    assert_eq!((fresh(&host, &pod), fresh(&host, &other)), ([ARMED; 2], [UNTOUCHED; 2]));
    fake.tell(vec![honest(), second()]);
    fake.turn(Way::Answers);
    await_governed(&host, &daemon, &other);
}
