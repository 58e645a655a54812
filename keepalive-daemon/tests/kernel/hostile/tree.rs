//! A tree that is large, and one that is taken away.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use nix::sys::signal::Signal;
use xtask::lab::{Process, Stream};

use super::{ARMED, KEEPALIVE, await_governed, await_no_trouble, fresh, host_with_app, is_unfinished};
use crate::support::{Host, daemon, document, eventually, objects};

crate::tests!(
    a_hierarchy_that_is_unmounted_ends_nothing,
    ten_thousand_cgroups_below_a_governed_one_are_governed_and_let_go,
);

const MANY: usize = 10_000;
/// As many are made, and removed, while the others are there.
const CHURN: usize = 200;
/// What the daemon may take of memory with so many, in kB, and of descriptors: these do not grow with the cgroups.
const MOST_MEMORY: usize = 160 << 10;
const MOST_DESCRIPTORS: usize = 100;

/// Makes cgroups, or removes them, by two threads.
fn each(root: &Path, names: &[String], work: fn(PathBuf) -> io::Result<()>) {
    thread::scope(|scope| {
        for part in names.chunks(names.len().div_ceil(2)) {
            scope.spawn(move || part.iter().for_each(|name| work(root.join(name)).unwrap()));
        }
    });
}

fn say(what: &str, began: Instant) {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "{MANY} cgroups: {what} in {:.1} s", began.elapsed().as_secs_f64()).unwrap();
}

fn memory_kb(daemon: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn ten_thousand_cgroups_below_a_governed_one_are_governed_and_let_go() {
    let host = Host::new("ten-thousand");
    let pods = host.cgroup("pods");
    let policies = document("above", "pods", "keepalive: {idle: 99s, interval: 13s, probes: 5}");
    host.write_policies("p.yaml", &(policies + &document("each", "pods/*", KEEPALIVE)));
    let names: Vec<String> = (0..MANY).map(|number| format!("pod-{number}")).collect();
    each(pods.path(), &names, fs::create_dir);
    let began = Instant::now();

    let daemon = host.start();

    say("governed from a cold start", began);
    let some = [0, MANY / 2, MANY - 1].map(|at| host.cgroup(&format!("pods/{}", names[at])));
    for cgroup in &some {
        assert_eq!(fresh(&host, cgroup), [ARMED; 2]);
        assert_eq!(objects::links(cgroup).len(), 1);
    }
    let pins = host.bpffs.path().join("keepalive/abi2/cgroups");
    let pinned = || fs::read_dir(&pins).unwrap().count();
    assert_eq!(pinned(), MANY + 1);
    let mark = daemon.mark();
    let churned: Vec<String> = (0..CHURN).map(|number| format!("churn-{number}")).collect();
    let began = Instant::now();
    each(pods.path(), &churned, fs::create_dir);
    each(pods.path(), &churned, fs::remove_dir);
    let late = host.cgroup("pods/late");
    daemon.wait_line_from(mark, "attached cgroup=\"pods/late\"").unwrap();
    say(&format!("{CHURN} more came, went and one was governed"), began);
    assert_eq!(fresh(&host, &late), [ARMED; 2]);

    let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let memory = memory_kb(&daemon);
    say(&format!("{memory} kB of memory, {descriptors} descriptors"), began);
    assert!(memory < MOST_MEMORY && descriptors < MOST_DESCRIPTORS, "{memory} kB, {descriptors}");

    drop((some, late));
    let began = Instant::now();
    let left: Vec<String> = names.into_iter().filter(|name| pods.path().join(name).exists()).collect();
    each(pods.path(), &left, fs::remove_dir);
    eventually("nothing is left of them", || (pinned() == 1).then_some(()));
    say("let go", began);
    assert_eq!(fresh(&host, &pods)[0].idle_s, Some(99));
    assert!(!daemon.text(Stream::Stderr).contains(" ERROR "), "{}", daemon.text(Stream::Stderr));
}

/// Runs a command in the mount namespace of the daemon.
fn inside(daemon: &Process, script: &str) {
    let mounts = format!("--mount=/proc/{}/ns/mnt", daemon.pid());
    let status = Command::new("nsenter").arg(mounts).args(["sh", "-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

fn a_hierarchy_that_is_unmounted_ends_nothing() {
    let (host, app) = host_with_app("unmounted");
    let mounted = host.directory().join("cgroup");
    fs::create_dir(&mounted).unwrap();
    let mount = format!("mount --bind {} {}", host.root.path().display(), mounted.display());
    // What the documents give it comes after the mount, which takes more.
    let mut run = daemon();
    run.args(["run", "--cri-socket", "none", "--metrics", "none"]);
    run.arg("--policies").arg(host.policies()).arg("--bpffs").arg(host.bpffs.path());
    run.arg("--api-socket").arg(host.socket()).arg("--cgroup-root").arg(&mounted);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", &format!("{mount}; exec \"$@\""), "sh"]);
    command.arg(run.get_program()).args(run.get_args()).env_remove("RUST_LOG");
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    let links = objects::links(&app);
    let over = format!("mount -t tmpfs none {}", mounted.display());
    let umount = format!("umount -l {}", mounted.display());
    for (take, give) in [(&umount, &mount), (&over, &umount)] {
        let mark = daemon.mark();

        inside(&daemon, take);
        daemon.signal(Signal::SIGHUP).unwrap();

        let told = daemon.wait_line_from(mark, "cannot read the cgroup tree again").unwrap();
        assert!(
            told.contains(" ERROR ") && told.contains("no longer mounted there; mount it again"),
            "{told}"
        );
        eventually("it is not ready", || is_unfinished(&host, "read the tree of cgroups").then_some(()));
        assert_eq!((objects::links(&app), fresh(&host, &app)), (links.clone(), [ARMED; 2]), "{take}");
        let other = "keepalive: {idle: 62s, interval: 13s, probes: 5}";
        for (policy, idle_s) in [(other, 62), (KEEPALIVE, 61)] {
            host.write_policies("p.yaml", &document("p", "app*", policy));
            eventually("policies still change what is governed", || {
                (fresh(&host, &app)[0].idle_s == Some(idle_s)).then_some(())
            });
        }

        let late = host.cgroup(if take == &umount { "app-one" } else { "app-two" });
        inside(&daemon, give);

        daemon.wait_line_from(mark, "the cgroup tree is followed again").unwrap();
        await_governed(&host, &daemon, &late);
        await_no_trouble(&host);
        assert_eq!(objects::links(&app), links);
        let said = daemon.text(Stream::Stderr);
        let times = said.lines().skip(mark).filter(|line| line.contains(" ERROR ")).count();
        assert_eq!(times, 1, "it is told of once: {said}");
    }
}
