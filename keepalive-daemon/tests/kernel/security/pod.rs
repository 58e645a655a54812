//! A process that is governed, and the user that it is.

use std::{fs, process::Command, thread};

use xtask::lab::{Cgroup, InCgroup as _, Process, Stream};

use super::{HELD, LOOSER, enforced};
use crate::support::{
    Host, NOBODY, Peer, document,
    objects::{attached, links, pinned_program},
    options, with_privileges,
};

/// What root in a container has, unless its manifest asks for more.
const CONTAINER: &str = "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                         +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/// What root does in a container, in a cgroup.
fn contained(host: &Host, command: &Command, cgroup: &Cgroup) -> Command {
    let reduced = with_privileges(&[CONTAINER], command);
    let mut inside = host.netns.command(reduced.get_program());
    inside.args(reduced.get_args()).in_cgroup(cgroup);
    inside
}

pub(super) fn a_cgroup_of_its_own_frees_a_process_of_nothing() {
    let (host, app) = enforced("security-nested");
    let _daemon = host.start();
    let own = host.cgroup("app/own/deeper");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(crate::PEER);
    let mut peer = Peer::new(Process::spawn("a peer", contained(&host, &command, &app)).unwrap());
    let old = peer.pair();
    // As whoever may write to its own cgroup can move itself below it.
    fs::write(own.path().join("cgroup.procs"), peer.process().pid().to_string()).unwrap();
    let new = peer.pair();

    for end in [old.client, old.server, new.client, new.server] {
        peer.set(end, LOOSER);
        assert_eq!(peer.options(end), HELD, "{end}");
        peer.set(end, options(false, 7200, 75, 9, 0));
        assert_eq!(peer.options(end), HELD, "{end}");
    }
    assert_eq!(own.procs().unwrap(), [peer.process().pid()]);
}

pub(super) fn a_user_of_the_host_reaches_no_pin() {
    let (host, app) = enforced("security-pins");
    let _daemon = host.start();
    let pins = host.bpffs.path().join("keepalive/abi2");
    let link = fs::read_dir(pins.join("cgroups")).unwrap().next().unwrap().unwrap().path().join("link");
    let [top, link, policies] = [host.bpffs.path().to_owned(), link, pins.join("maps/POLICY")]
        .map(|path| path.to_str().unwrap().to_owned());
    let before = attached(&app);
    let attempts = [
        vec!["ls", &top],
        vec!["bpftool", "map", "dump", "pinned", &policies],
        vec!["bpftool", "link", "detach", "pinned", &link],
        vec!["rm", &link],
    ];

    for words in &attempts {
        let output = with_privileges(&NOBODY, &command(words)).output().unwrap();
        assert!(!output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    }

    assert_eq!((before.len(), attached(&app)), (1, before));
    // Nothing but the user is in the way.
    for words in &attempts {
        let output = command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(attached(&app).is_empty());
}

pub(super) fn root_in_a_container_reaches_no_program_and_no_map() {
    let (host, app) = enforced("security-root");
    let _daemon = host.start();
    let (program, maps) = pinned_program(&host.bpffs.path().join("keepalive/abi2/program"));
    let link = links(&app)[0].id.to_string();
    let (map, program) = (maps[0].to_string(), program.to_string());
    let (before, path) = (attached(&app), app.path().to_str().unwrap());
    let attempts = [
        vec!["bpftool", "prog", "show", "id", &program],
        vec!["bpftool", "map", "dump", "id", &map],
        vec!["bpftool", "link", "detach", "id", &link],
        vec!["bpftool", "cgroup", "detach", path, "cgroup_sock_ops", "id", &program],
        vec!["mount", "-t", "bpf", "bpf", host.directory().to_str().unwrap()],
    ];

    for words in &attempts {
        let output = contained(&host, &command(words), &app).output().unwrap();
        assert!(!output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    }

    assert_eq!((before.len(), attached(&app)), (1, before));
    for words in &attempts[..3] {
        let output = command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(attached(&app).is_empty(), "nothing but its rights was in the way");
}

pub(super) fn what_a_pod_does_in_its_cgroup_harms_no_other() {
    const CGROUPS: usize = 300;
    const CONNECTIONS: usize = 500;

    let host = Host::new("security-noise");
    let [noisy, quiet] = ["noisy", "quiet"].map(|name| host.cgroup(name));
    host.write_policies("p.yaml", &document("all", "*", "keepalive: {idle: 61s, interval: 13s, probes: 5}"));
    let daemon = host.start();
    // Names that would end a line, a table, a path or a terminal, of the longest there may be; made, left and made anew.
    let script = format!(
        "cd \"$0\" || exit 1; for round in 1 2 3; do for n in $(seq {CGROUPS}); do \
         mkdir -- \"$(printf '\\033[2J-%s-\\t..%0200d' $n 7)\" || exit 1; done; rmdir -- *7 || exit 1; done; \
         mkdir -p $(seq -s /{long} 1 12)",
        long = "d".repeat(60),
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(noisy.path());
    let mut loud = contained(&host, &command, &noisy);
    let mut peer = host.peer(&noisy);

    let output = thread::scope(|scope| {
        let noise = scope.spawn(move || loud.output().unwrap());
        peer.pairs(CONNECTIONS);
        while !noise.is_finished() {
            // However busy it is, it does not take what others do for a failure of its own.
            assert_eq!(host.status()["daemon"]["ready"], true);
        }
        noise.join().unwrap()
    });

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut other = host.peer(&quiet);
    let pair = other.pair();
    assert_eq!([pair.client, pair.server].map(|end| other.options(end)), [HELD; 2]);
    let later = host.cgroup("later\u{1b}[2J");
    daemon.wait_line("attached cgroup=\"later").unwrap();
    let mut other = host.peer(&later);
    let pair = other.pair();
    assert_eq!([pair.client, pair.server].map(|end| other.options(end)), [HELD; 2]);
    assert_eq!(peer.all_options(), [(HELD, 2 * CONNECTIONS)]);
    assert_eq!(host.status()["cgroups"].as_array().unwrap().len(), 3);
    let table = String::from_utf8(host.run("status", &[]).stdout).unwrap();
    assert!(table.contains("later"), "{table}");
    let said = daemon.text(Stream::Stdout) + &daemon.text(Stream::Stderr) + &table;
    assert!(!said.contains('\u{1b}'), "a name reaches the terminal as it is");
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}
