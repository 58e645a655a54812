//! `bugtool`: what is in the archive, and what must not be.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Command,
};

use flate2::read::GzDecoder;
use serde_json::Value;
use xtask::lab::{InCgroup as _, Process};

use crate::support::{Host, Peer, armed_counter, document, eventually};

crate::tests!(
    everything_is_in_it_and_no_secret_is,
    it_works_without_a_daemon_and_says_what_is_missing,
    one_that_exists_is_not_overwritten,
    with_addresses_each_connection_is_in_it,
);

/// What must not be found in an archive.
pub(crate) const SECRET: &str = "hunter2-correct-horse";

/// What is always there.
const ALWAYS: [&str; 11] = [
    "bpftool/cgroups.txt",
    "bpftool/links.txt",
    "bpftool/maps.txt",
    "bpftool/programs.txt",
    "bpftool/version.txt",
    "kernel.json",
    "manifest.json",
    "mounts.txt",
    "privileges.json",
    "probe.json",
    "version.json",
];

/// What is there once something is attached.
const PINNED: [&str; 4] = ["bpftool/COUNTERS.txt", "bpftool/POLICY.txt", "pins.txt", "status.json"];

/// What the daemon tells.
const DAEMON: [&str; 5] =
    ["daemon-privileges.json", "events.ndjson", "health.json", "policies.json", "sockets.json"];

/// The files of an archive by their name, below the directory that all of them are in.
pub(crate) fn unpack(archive: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive).unwrap()));
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        assert_eq!(entry.header().mode().unwrap(), 0o600, "{path}");
        let (top, name) = path.split_once('/').unwrap();
        assert!(top.starts_with("keepalive-bugtool-"), "{path}");
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        (name.to_owned(), content)
    });
    files.collect()
}

/// The files in which a text is.
pub(crate) fn files_with<'a>(files: &'a BTreeMap<String, String>, text: &str) -> Vec<&'a str> {
    files.iter().filter(|(_, content)| content.contains(text)).map(|(name, _)| name.as_str()).collect()
}

fn names(files: &BTreeMap<String, String>) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

fn sorted(groups: &[&[&'static str]]) -> Vec<&'static str> {
    let mut names = groups.concat();
    names.sort_unstable();
    names
}

fn json(files: &BTreeMap<String, String>, name: &str) -> Value {
    serde_json::from_str(&files[name]).unwrap()
}

/// Connects a peer to itself; returns the address that it listens on.
fn connect(peer: &mut Peer) -> SocketAddr {
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    peer.connect(address);
    peer.accept(listener);
    address
}

fn collect(host: &Host, arguments: &[&str]) -> BTreeMap<String, String> {
    let archive = host.directory().join(format!("{}.tar.gz", arguments.len()));
    let output = host.command("bugtool").arg("--output").arg(&archive).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), archive.to_str().unwrap());
    assert!(said.contains("bugtool: status.json"), "it tells how far it is: {said}");
    assert_eq!(fs::metadata(&archive).unwrap().mode() & 0o777, 0o600);
    unpack(&archive)
}

fn everything_is_in_it_and_no_secret_is() {
    let host = Host::new("bugtool");
    let app = host.cgroup("app");
    host.write_policies(
        "p.yaml",
        &document("web", "app", "keepalive: {idle: 61s, interval: 13s, probes: 5}"),
    );
    let mut command = host.command("run");
    command.env("DATABASE_PASSWORD", SECRET);
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    let mut command = host.netns.command(std::env::current_exe().unwrap());
    command.env("DATABASE_PASSWORD", SECRET);
    let mut peer = Peer::spawn(command, &app);
    let address = connect(&mut peer);
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000; : \"$@\"", "sh", SECRET]).in_cgroup(&app);
    let _argument = Process::spawn("one with a secret argument", command).unwrap();
    let mark = daemon.mark();
    // As the value, and as the name, of fields that a policy has none of; and in a document that begins as a policy does.
    let stray = format!(
        "apiVersion: v1\nkind: {SECRET}\n{SECRET}: x\n---\napiVersion: keepalive.dev/v1alpha1\n\
         kind: KeepalivePolicy\nmetadata: {{name: a, namespace: b}}\nspec: {{{SECRET}: 1, keepalive: {{{SECRET}: {SECRET}}}}}\n"
    );
    host.write_policies("secret.yaml", &stray);
    daemon.wait_line_from(mark, "cannot use the policies").unwrap();
    assert!(
        host.status()["daemon"]["policyError"].as_str().unwrap().contains(SECRET),
        "it is there to be left out"
    );

    let files = collect(&host, &[]);

    assert_eq!(names(&files), sorted(&[&ALWAYS, &PINNED, &DAEMON]));
    assert_eq!(files_with(&files, SECRET), Vec::<&str>::new());
    let status = json(&files, "status.json");
    assert!(status["daemon"]["policyError"].as_str().unwrap().contains("secret.yaml"), "{status}");
    assert_eq!(status["cgroups"][0]["counters"][armed_counter()], 2);
    assert_eq!(json(&files, "policies.json")[0]["name"], "web");
    let events = &files["events.ndjson"];
    assert!(events.contains("\"attached\"") && events.contains("secret.yaml"), "{events}");
    let sockets = json(&files, "sockets.json");
    let counts = sockets["counts"].as_array().unwrap();
    let of_app = counts.iter().filter(|count| count["cgroup"] == "app" && count["state"] == "ESTAB");
    let of_app: Vec<_> = of_app.map(|it| (it["connections"].as_u64(), it["verdict"].as_str())).collect();
    assert_eq!(of_app, [(Some(1), Some("policy")), (Some(1), Some("policy"))], "{sockets}");
    assert_eq!(files_with(&files, &format!(":{}", address.port())), Vec::<&str>::new());
    assert!(files["bpftool/POLICY.txt"].contains("\"idle_s\": 61"), "{}", files["bpftool/POLICY.txt"]);
    assert!(files["pins.txt"].contains("policy -> web"), "{}", files["pins.txt"]);
    let kernel = json(&files, "kernel.json");
    assert_eq!(kernel["release"], nix::sys::utsname::uname().unwrap().release().to_str().unwrap());
    // That of the loop, which is no more than CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.
    assert_eq!(json(&files, "daemon-privileges.json")["CapEff"], "000000c000001000");
    let manifest = json(&files, "manifest.json");
    let listed: Vec<&str> =
        manifest["files"].as_array().unwrap().iter().map(|it| it["file"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), files.len() - 1, "all but itself: {manifest}");
}

fn with_addresses_each_connection_is_in_it() {
    let host = Host::new("bugtool-addresses");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("web", "app", "mode: Monitor"));
    let _daemon = host.start();
    let mut peer = host.peer(&app);
    let address = connect(&mut peer);

    let files = collect(&host, &["--with-addresses"]);

    let rows = files["connections.ndjson"].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ends: Vec<Value> = rows.filter(|row| row["cgroup"] == "app" && row["state"] == "ESTAB").collect();
    let at_port = |end: &str| ends.iter().filter(|row| row[end] == address.to_string()).count();
    assert_eq!((ends.len(), at_port("local"), at_port("remote")), (2, 1, 1), "{ends:?}");
    assert_eq!(json(&files, "manifest.json")["withAddresses"], true);
}

fn it_works_without_a_daemon_and_says_what_is_missing() {
    let host = Host::new("bugtool-alone");
    let app = host.cgroup("app");
    host.write_policies(
        "p.yaml",
        &document("web", "app", "keepalive: {idle: 61s, interval: 13s, probes: 5}"),
    );
    drop(host.start());
    eventually("what is pinned is there", || {
        host.status()["cgroups"].as_array().filter(|it| !it.is_empty()).map(drop)
    });

    let files = collect(&host, &[]);

    assert_eq!(names(&files), sorted(&[&ALWAYS, &PINNED]));
    assert_eq!(json(&files, "status.json")["cgroups"][0]["id"], app.id());
    let manifest = json(&files, "manifest.json");
    let missing = manifest["missing"].as_array().unwrap();
    let mut lacking: Vec<&str> = missing.iter().map(|it| it["file"].as_str().unwrap()).collect();
    lacking.sort_unstable();
    assert_eq!(lacking, sorted(&[&DAEMON, &["metrics.txt"]]));
    let mut of_daemon = missing.iter().filter(|it| it["file"] != "metrics.txt");
    assert!(of_daemon.all(|it| it["why"].as_str().unwrap().contains("no daemon answers")), "{manifest}");
}

fn one_that_exists_is_not_overwritten() {
    let host = Host::new("bugtool-twice");
    let archive = host.directory().join("mine.tar.gz");
    fs::write(&archive, "mine").unwrap();

    let output = host.command("bugtool").arg("--output").arg(&archive).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("exists already"), "{said}");
    assert_eq!(fs::read_to_string(&archive).unwrap(), "mine");
}
