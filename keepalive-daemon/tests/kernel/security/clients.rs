//! Whoever may open the control socket.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use super::{HELD, enforced};
use crate::support::{Host, NOBODY, objects::storage, with_privileges};

/// Asks as a member of the group; the code of the answer.
fn ask(host: &Host, method: &str, path: &str, body: &str) -> u16 {
    let mut command = Command::new("curl");
    command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "60"]);
    command.args(["--request", method, "--header", "content-type: application/json", "--data", body]);
    command.arg("--unix-socket").arg(host.socket()).arg(format!("http://localhost{path}"));
    let output = with_privileges(&NOBODY, &command).output().unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

/// What the daemon describes of itself: its paths.
fn paths(host: &Host) -> Vec<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--unix-socket"]).arg(host.socket()).arg("http://localhost/v1/openapi.json");
    let output = command.output().unwrap();
    let description: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    description["paths"].as_object().unwrap().keys().cloned().collect()
}

pub(super) fn a_member_of_the_group_changes_no_policy() {
    let (host, app) = enforced("security-group");
    // Whoever is to connect has to be let into the directory.
    fs::set_permissions(host.directory(), Permissions::from_mode(0o755)).unwrap();
    let mut run = host.command("run");
    run.args(["--api-group", "65534"]);
    // Without CAP_CHOWN it has to be a member itself, as `SupplementaryGroups=` makes it.
    let daemon = host.start_with(with_privileges(&["--groups=65534"], &run));
    daemon.wait_line("ready: all policies").unwrap();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    let policies = host.bpffs.path().join("keepalive/abi2/maps/POLICY");
    let before = (storage(&policies, &app), fs::read(host.policies().join("p.yaml")).unwrap());
    let policy = r#"{"policy": "app", "mode": "Monitor", "keepalive": {"idle": "2h"}, "file": "p.yaml"}"#;

    let paths = paths(&host);
    for path in &paths {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let code = ask(&host, method, path, policy);

            let is_apply = path == "/v1/apply" && method == "POST";
            assert_eq!(code, if is_apply { 422 } else { 405 }, "{method} {path}");
        }
    }
    // What it may have done is what the policy says, whatever it asks for.
    assert_eq!(ask(&host, "POST", "/v1/apply", r#"{"policy": "app"}"#), 200);

    assert!(paths.len() >= 8, "{paths:?}");
    let after = (storage(&policies, &app), fs::read(host.policies().join("p.yaml")).unwrap());
    assert_eq!(after, before);
    assert_eq!([pair.client, pair.server].map(|end| peer.options(end)), [HELD; 2]);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), HELD);
    assert_eq!(host.status()["daemon"]["ready"], true);
}
