//! Who may open the socket.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Output};

use xtask::lab::Cgroup;

use crate::support::{Host, NOBODY, document, public_program, with_privileges};

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

/// The group of [`NOBODY`].
const NOGROUP: u32 = 65534;

/// The flags that make `setpriv` a user who is not of that group.
const STRANGER: [&str; 3] = ["--reuid=65533", "--regid=65533", "--clear-groups"];

fn host() -> (Host, Cgroup) {
    let host = Host::new("group");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    (host, app)
}

/// Asks as an ordinary user, with a copy of the program that everybody can run.
fn ask_as(user: &[&str], host: &Host, program: &Path) -> Output {
    let mut command = std::process::Command::new(program);
    command.args(["health", "--api-socket"]).arg(host.socket());
    with_privileges(user, &command).output().unwrap()
}

/// It is the socket that keeps them out.
fn assert_refused(asked: Output) {
    let said = String::from_utf8(asked.stderr).unwrap();
    assert_eq!(asked.status.code(), Some(1), "{said}");
    assert!(said.contains("it answers to root") && said.contains("--api-group"), "{said}");
}

fn rights(host: &Host) -> (u32, u32, u32) {
    let socket = fs::metadata(host.socket()).unwrap();
    (socket.mode() & 0o7777, socket.uid(), socket.gid())
}

pub(super) fn only_root_may_ask_by_default() {
    let (host, _app) = host();
    let program = public_program(host.directory());
    let _daemon = host.start();

    let refused = ask_as(&NOBODY, &host, &program);

    assert_refused(refused);
    assert_eq!(rights(&host), (0o600, 0, 0));
}

pub(super) fn members_of_the_group_may_ask_and_others_may_not() {
    let (host, _app) = host();
    let program = public_program(host.directory());
    for group in ["65534", "nogroup"] {
        let mut command = host.command("run");
        command.args(["--api-group", group]);
        // Without CAP_CHOWN it has to be a member itself, as `SupplementaryGroups=` makes it.
        let daemon = host.start_with(with_privileges(&["--groups=65534"], &command));
        daemon.wait_line("ready: all policies").unwrap();

        let answered = ask_as(&NOBODY, &host, &program);
        let refused = ask_as(&STRANGER, &host, &program);

        assert_eq!(answered.status.code(), Some(0), "{}", String::from_utf8_lossy(&answered.stderr));
        assert_refused(refused);
        assert_eq!(rights(&host), (0o660, 0, NOGROUP));
    }
    let mut command = host.command("run");
    command.args(["--api-group", "65534"]);
    let refused = command.output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && said.contains("CAP_CHOWN, or to be a member"),
        "{}: {said}",
        refused.status
    );
    let mut command = host.command("run");
    command.args(["--api-group", "no-such-group-anywhere"]);
    let refused = command.output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && said.contains("there is no group"), "{said}");
}
