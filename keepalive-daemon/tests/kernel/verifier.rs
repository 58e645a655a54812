//! What the verifier does for each program, against what it did before. Times are another machine's, and are compared to
//! one bound alone.

use std::fs;

use serde_json::Value;
use xtask::lab::InCgroup as _;

use crate::{
    facts, needs,
    support::{Host, bpftool, document, with_privileges},
};

crate::tests![what_is_told_is_of_the_programs_that_run, what_the_verifier_does_has_not_grown];

/// How much more a number may be than it was, in hundredths. Compilers make small differences; a change that means
/// something makes larger ones, and is to be seen by whoever makes it.
const MARGIN: u64 = 10;

/// How long it may take for one program, in microseconds: ten times what the slowest took, of an emulated machine. Nobody
/// waits so long for a daemon to begin.
const MOST_TIME: u64 = 20_000_000;

/// What the kernel takes at most (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MOST_VERIFIED: u64 = 1_000_000;

fn what_the_verifier_does_has_not_grown() {
    let found = facts::of(needs::probed());
    let Some(known) = facts::known(&found) else { return };
    let advice = facts::advice(&found);
    let [found, known] = [&found, &known].map(|facts| facts["programs"].as_object().unwrap());
    assert_eq!(found.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>(), "{advice}");

    for (name, now) in found {
        let before = &known[name];
        assert_eq!(now.get("refused").is_some(), before.get("refused").is_some(), "{name}: {now}; {advice}");
        for number in ["instructions", "verified", "stack", "jitedBytes"] {
            let (Some(now), Some(before)) = (now[number].as_u64(), before[number].as_u64()) else { continue };
            let most = before + before * MARGIN / 100;
            assert!(now <= most, "{name}: {number} grew from {before} to {now}; {advice}");
        }
        assert!(now["verificationUs"].as_u64().is_none_or(|time| time < MOST_TIME), "{name}: {now}");
        assert!(now["verified"].as_u64().is_none_or(|verified| verified < MOST_VERIFIED), "{name}: {now}");
    }
}

fn what_is_told_is_of_the_programs_that_run() {
    let host = Host::new("verifier");
    let _cgroup = host.cgroup("app");
    let enforce = "mode: Enforce, keepalive: {idle: 61s, interval: 13s, probes: 5}";
    host.write_policies("p.yaml", &document("app", "app", enforce));
    // Of who has no CAP_PERFMON the kernel does not trust the programs, and makes longer code of them. The daemon loads
    // them at different times, and gives up what it needs no more in between.
    let least = ["--bounding-set=-all,+bpf,+net_admin"];
    let daemon = host.start_with(with_privileges(&least, &host.command("run")));
    daemon.wait_line("ready: all policies").unwrap();
    let layout = fs::read_dir(host.bpffs.path().join("keepalive")).unwrap();
    let layout =
        layout.map(|entry| entry.unwrap().path()).find(|path| path.join("program").exists()).unwrap();
    let mut probe = host.command("probe");
    probe.args(["-o", "json"]);
    let output = { with_privileges(&least, &probe) }.in_cgroup(&host.cgroup("probe")).output().unwrap();
    let told = facts::of(&serde_json::from_slice(&output.stdout).unwrap());

    for (pin, name) in [("program", "keepalive"), ("guard_program", "guard")] {
        let pin = layout.join(pin);
        let shown: Value = bpftool(["prog", "show", "pinned", pin.to_str().unwrap()]);
        assert_eq!(shown["bytes_jited"], told["programs"][name]["jitedBytes"], "{name}: {shown}");
    }
}
