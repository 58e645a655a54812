//! A daemon that has run out of something.

use std::{
    fs, io,
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    process::Command,
    thread,
};

use xtask::lab::{Process, Stream};

use super::{ARMED, await_governed, await_no_trouble, fresh, host_with_app, troubles};
use crate::support::{Host, document, eventually, objects, public_program, scaled, with_privileges};

crate::tests!(
    without_descriptors_nothing_ends_and_with_them_it_goes_on,
    without_inotify_changes_are_found_all_the_same,
    without_memory_it_ends_and_what_is_governed_stays_so,
);

/// Limits the descriptors that a process may open from now on.
fn limit(daemon: &Process, most: usize) {
    prlimit(daemon, &format!("--nofile={most}:"));
}

fn prlimit(daemon: &Process, resource: &str) {
    let pid = daemon.pid().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, resource]).status();
    assert!(status.unwrap().success());
}

fn without_descriptors_nothing_ends_and_with_them_it_goes_on() {
    let (host, app) = host_with_app("no-descriptors");
    let daemon = host.start();
    let links = objects::links(&app);

    limit(&daemon, 4);
    let late = host.cgroup("app-late");

    let told = daemon.wait_line("cannot read the cgroup tree again: going by what was known").unwrap();
    assert!(told.contains(" ERROR ") && told.contains("Too many open files"), "{told}");
    // Whoever asks is let in as soon as that can be done.
    let asking = thread::scope(|scope| {
        let asking = scope.spawn(|| host.status());
        host.write_policies(
            "p.yaml",
            &document("p", "app*", "keepalive: {idle: 62s, interval: 13s, probes: 5}"),
        );
        daemon.wait_line("cannot use the policies").unwrap();
        assert_eq!((objects::links(&app), fresh(&host, &app)), (links.clone(), [ARMED; 2]));
        limit(&daemon, 1024);
        asking.join().unwrap()
    });
    assert_eq!(asking["cgroups"][0]["path"], "app");

    daemon.wait_line("the cgroup tree is followed again").unwrap();
    daemon.wait_line("attached cgroup=\"app-late\"").unwrap();
    eventually("the policy that could not be read is in force", || {
        let both = [&app, &late].map(|cgroup| fresh(&host, cgroup)[0].idle_s);
        (both == [Some(62); 2]).then_some(())
    });
    await_no_trouble(&host);
    assert_eq!(objects::links(&app), links);
    let said = daemon.text(Stream::Stderr);
    assert_eq!(said.matches("going by what was known").count(), 1, "{said}");
}

/// Of nobody else: what it has used up is its own.
const USER: u32 = 64_123;

/// All the inotify instances that a user may have.
fn use_up_inotify() -> Vec<OwnedFd> {
    let take_all = || {
        // SAFETY: the call changes the user of this thread alone, and it does nothing but what follows.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, USER, -1) }, 0);
        let one = || {
            // SAFETY: the call takes flags.
            let descriptor = unsafe { libc::inotify_init1(libc::IN_CLOEXEC) };
            // SAFETY: the kernel just handed it out, and nobody else knows it.
            (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
        };
        let all: Vec<OwnedFd> = std::iter::from_fn(one).collect();
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EMFILE));
        all
    };
    thread::scope(|scope| scope.spawn(take_all).join().unwrap())
}

fn start_as_user(host: &Host) -> Process {
    let program = public_program(host.directory());
    for path in [host.directory(), host.bpffs.path(), &host.policies()] {
        std::os::unix::fs::chown(path, Some(USER), None).unwrap();
    }
    let capabilities = "+bpf,+net_admin,+perfmon,+sys_admin,+sys_ptrace,+dac_override,+dac_read_search";
    let (user, inheritable, ambient) = (
        format!("--reuid={USER}"),
        format!("--inh-caps={capabilities}"),
        format!("--ambient-caps={capabilities}"),
    );
    let flags = [user.as_str(), "--clear-groups", &inheritable, &ambient];
    host.start_with(with_privileges(&flags, &host.free_command_of(&program, "run")))
}

fn without_inotify_changes_are_found_all_the_same() {
    let (host, app) = host_with_app("no-inotify");
    let used_up = use_up_inotify();
    assert!(!used_up.is_empty());

    let daemon = start_as_user(&host);

    daemon.wait_line("ready: all policies").unwrap();
    // Root without CAP_DAC_OVERRIDE asks it here, and nobody else.
    fs::set_permissions(host.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    for (what, cure) in [
        ("changes of the policies", "max_user_instances"),
        ("cannot watch every cgroup", "max_user_instances"),
    ] {
        let told = daemon.wait_line(what).unwrap();
        assert!(told.contains(" WARN ") && told.contains(cure), "{told}");
    }
    assert!(troubles(&host).contains("cannot watch every cgroup"), "{}", troubles(&host));
    let late = host.cgroup("app-late");
    await_governed(&host, &daemon, &late);
    host.write_policies("p.yaml", &document("p", "app*", "keepalive: {idle: 62s, interval: 13s, probes: 5}"));
    eventually("the change is in force", || (fresh(&host, &app)[0].idle_s == Some(62)).then_some(()));
    host.write_policies("p.yaml", &document("p", "app*", super::KEEPALIVE));
    eventually("so is the next", || (fresh(&host, &app) == [ARMED; 2]).then_some(()));

    drop(used_up);

    daemon.wait_line("the cgroup tree is followed again").unwrap();
    await_no_trouble(&host);
    await_governed(&host, &daemon, &host.cgroup("app-later"));
    let said = daemon.text(Stream::Stderr);
    assert_eq!(said.matches("cannot watch every cgroup").count(), 1, "{said}");
}

fn without_memory_it_ends_and_what_is_governed_stays_so() {
    let (host, app) = host_with_app("no-memory");
    let daemon = host.start();
    let links = objects::links(&app);

    // Less than it has: nothing more is given.
    prlimit(&daemon, "--as=1:");
    // More than what was free.
    let crowd: Vec<_> = (0..scaled(2000)).map(|number| host.cgroup(&format!("app{number}"))).collect();
    let ended = daemon.wait_output().unwrap();

    assert!(!ended.success(), "{ended}");
    let said = daemon.text(Stream::Stderr);
    // Of a block, or of the stack of a thread that begins.
    let says = ["memory allocation of", "failed to allocate"];
    assert!(says.iter().any(|words| said.contains(words)), "{said}");
    assert_eq!((objects::links(&app), fresh(&host, &app)), (links.clone(), [ARMED; 2]));
    // Whatever starts it again finds things as they were.
    let again = host.start();
    assert_eq!(objects::links(&app), links);
    let last = crowd.last().unwrap();
    assert_eq!(fresh(&host, last), [ARMED; 2]);
    again.check().unwrap();
}
