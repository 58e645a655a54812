//! Parts of the tree that belong to somebody else: what they do there hides nothing of the rest.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt as _, chown},
    },
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::{
        signal::Signal,
        stat::{Mode, mkdirat},
    },
    unistd::{UnlinkatFlags, unlinkat, write},
};
use xtask::lab::Process;

use super::{ARMED, KEEPALIVE, await_governed, fresh};
use crate::support::{Host, Peer, document, objects, with_privileges};

crate::tests!(
    a_cgroup_that_its_owner_closes_hides_no_other,
    a_path_that_is_longer_than_the_kernel_takes_hides_no_other,
);

fn a_cgroup_that_its_owner_closes_hides_no_other() {
    let host = Host::new("closed");
    let (app, theirs) = (host.cgroup("app"), host.cgroup("theirs"));
    let inner = host.cgroup("theirs/inner");
    host.write_policies("p.yaml", &document("p", "{app*,theirs/inner*}", KEEPALIVE));
    chown(theirs.path(), Some(65534), Some(65534)).unwrap();
    let close = |mode: u32| fs::set_permissions(theirs.path(), fs::Permissions::from_mode(mode)).unwrap();
    // As in a pod: root, and yet bound by permissions.
    let bounding = "--bounding-set=-all,+setpcap,+sys_resource,+bpf,+net_admin,+perfmon";
    let start = || host.start_with(with_privileges(&[bounding], &host.command("run")));
    let daemon = start();
    daemon.wait_line("ready: all policies").unwrap();
    let links = [&app, &inner].map(objects::links);

    close(0);
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP).unwrap();

    let told = daemon.wait_line_from(mark, "cannot look into a cgroup").unwrap();
    assert!(told.contains(" WARN ") && told.contains("/theirs"), "{told}");
    await_governed(&host, &daemon, &host.cgroup("app-late"));
    assert_eq!([&app, &inner].map(objects::links), links, "what was governed stays so");
    assert_eq!(fresh(&host, &inner), [ARMED; 2]);
    assert_eq!(host.status()["daemon"]["ready"], true);

    // Whoever starts meanwhile knows less, and takes nothing away.
    daemon.signal(Signal::SIGTERM).unwrap();
    daemon.wait_output().unwrap();
    let daemon = start();
    daemon.wait_line("cannot look into a cgroup").unwrap();
    await_governed(&host, &daemon, &host.cgroup("app-later"));
    assert_eq!(objects::links(&app), links[0]);

    close(0o755);
    let late = host.cgroup("theirs/inner-late");
    daemon.signal(Signal::SIGHUP).unwrap();
    await_governed(&host, &daemon, &late);
    assert_eq!(fresh(&host, &inner), [ARMED; 2]);
}

/// Cgroups in one another, deeper than a path can tell; gone when dropped.
struct Deep(Vec<OwnedFd>);

/// The most that a name may have.
const NAME: usize = 255;
/// One more of them is longer than any path.
const LEVELS: usize = 17;

impl Deep {
    fn below(host: &Host) -> Self {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut deep = Self(vec![open(host.root.path(), flags, Mode::empty()).unwrap()]);
        for _ in 0..LEVELS {
            let above = deep.0.last().unwrap();
            mkdirat(above, Self::name().as_str(), Mode::from_bits_truncate(0o755)).unwrap();
            let next = openat(above, Self::name().as_str(), flags, Mode::empty()).unwrap();
            deep.0.push(next);
        }
        deep
    }

    fn name() -> String {
        format!("deep{}", "-".repeat(NAME - 4))
    }

    /// Moves a process into the deepest.
    fn enter(&self, process: &Process) {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let procs = openat(self.0.last().unwrap(), "cgroup.procs", flags, Mode::empty()).unwrap();
        write(&procs, process.pid().to_string().as_bytes()).unwrap();
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        while let (Some(_), Some(above)) = (self.0.pop(), self.0.last()) {
            // A process that was killed leaves some moments later.
            for _ in 0..500 {
                match unlinkat(above, Self::name().as_str(), UnlinkatFlags::RemoveDir) {
                    Err(Errno::EBUSY) => thread::sleep(Duration::from_millis(10)),
                    _ => break,
                }
            }
        }
    }
}

fn a_path_that_is_longer_than_the_kernel_takes_hides_no_other() {
    let host = Host::new("deep");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "{app*,deep*}", KEEPALIVE));
    let first = host.start();
    let deep = Deep::below(&host);

    let told = first.wait_line("a cgroup is out of reach").unwrap();

    assert!(told.contains(" WARN ") && told.contains("too long"), "{told}");
    await_governed(&host, &first, &host.cgroup("app-late"));
    first.signal(Signal::SIGTERM).unwrap();
    first.wait_output().unwrap();
    // It is no obstacle to a start either.
    let second = host.start();
    await_governed(&host, &second, &host.cgroup("app-later"));
    assert_eq!(fresh(&host, &app), [ARMED; 2]);
    // What is out of reach is governed by what governs above it.
    let mut command = host.netns.command(std::env::current_exe().unwrap());
    command.arg(crate::PEER);
    let process = Process::spawn("a peer", command).unwrap();
    deep.enter(&process);
    let mut peer = Peer::new(process);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), ARMED);
    assert_eq!(host.status()["daemon"]["ready"], true);
}
