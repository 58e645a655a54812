//! What `probe` says that a kernel can do, against what is known of it and what is taken from it.

use keepalive_daemon::{features::Feature, policy::KernelVersion};
use serde_json::Value;
use xtask::lab::InCgroup as _;

use crate::{
    facts, needs,
    support::{Host, with_privileges},
};

crate::tests![
    every_feature_is_there_since_the_release_that_brought_it,
    multipath_tcp_that_is_turned_off_is_absent,
    this_kernel_has_what_is_known_of_its_line,
    what_lacks_its_capability_is_absent_and_nothing_else_is,
];

fn this_kernel_has_what_is_known_of_its_line() {
    let found = facts::of(needs::probed());

    let Some(known) = facts::known(&found) else { return };

    assert_eq!(found["features"], known["features"], "{}\n{}", facts::advice(&found), needs::probed());
}

/// But for what a distribution may build its kernel without: what is known of each line says whether it did.
fn every_feature_is_there_since_the_release_that_brought_it() {
    let release = needs::probed()["kernel"].as_str().unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let release = KernelVersion::new(numbers.next().unwrap(), numbers.next().unwrap());

    let absent: Vec<&Value> = Feature::ALL
        .iter()
        .filter(|feature| feature.since() <= release && feature.built_with().is_none())
        .map(|feature| needs::of(needs::probed(), *feature))
        .filter(|found| found["present"] != true)
        .collect();

    assert!(absent.is_empty(), "{absent:?}");
}

fn what_lacks_its_capability_is_absent_and_nothing_else_is() {
    const OF_PERFMON: [Feature; 4] = [Feature::Sweep, Feature::ListOptions, Feature::DeadPeers, Feature::Log];
    let host = Host::new("lacks");
    let cgroup = host.cgroup("probe");
    let mut command = host.command("probe");
    command.args(["-o", "json"]);

    // CAP_SYS_ADMIN would stand in for it.
    let reduced = with_privileges(&["--bounding-set=-perfmon,-sys_admin"], &command);
    let output = { reduced }.in_cgroup(&cgroup).output().unwrap();

    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let probed: Value = serde_json::from_slice(&output.stdout).unwrap();
    for feature in Feature::ALL {
        let (found, as_root) = (needs::of(&probed, feature), needs::of(needs::probed(), feature));
        let expected = as_root["present"] == true && !OF_PERFMON.contains(&feature);
        assert_eq!(found["present"], expected, "{found}");
        assert_eq!(found["note"] == "", expected, "{found}");
    }
}

fn multipath_tcp_that_is_turned_off_is_absent() {
    let host = Host::new("no-mptcp");
    let cgroup = host.cgroup("probe");
    let before = needs::of(needs::probed(), Feature::Mptcp)["present"] == true;
    if before {
        host.netns.sysctl("net.mptcp.enabled", "0").unwrap();
    }
    let mut command = host.netns.command(env!("CARGO_BIN_EXE_keepalive-daemon"));
    command.args(["probe", "-o", "json", "--bpffs"]).arg(host.bpffs.path());

    let output = command.in_cgroup(&cgroup).output().unwrap();

    let probed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = needs::of(&probed, Feature::Mptcp);
    assert_eq!(found["present"], false, "{found}");
    assert!(found["note"].as_str().unwrap().contains("net.mptcp.enabled"), "{found}");
    assert_eq!(needs::of(&probed, Feature::SetOptions)["present"], true, "{probed}");
}
