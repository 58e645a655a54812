//! An application that never lets go of the lock of a socket.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    process::Command,
    ptr,
    thread::{self, JoinHandle},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Socket;

use super::{ARMED, await_governed, await_no_trouble, fresh, troubles};
use crate::support::{Host, document, eventually, far_end, sockets_of};

crate::tests!(what_waits_for_a_lock_is_named_and_the_rest_goes_on);

const PAGE: usize = 4096;

/// A thread of this process that sends from a page which does not come, and holds the lock of the socket meanwhile.
struct Holder {
    faults: Option<OwnedFd>,
    page: usize,
    thread: Option<JoinHandle<()>>,
}

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    length: u64,
    mode: u64,
    ioctls: u64,
}

const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFD_API: u64 = 0xaa;
const MISSING: u64 = 1;

impl Holder {
    fn hold(socket: Socket) -> Self {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that is there.
        let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, protection, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        // SAFETY: the call takes flags, and hands out a descriptor that nobody else knows.
        let faults = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        assert!(faults >= 0, "{}", io::Error::last_os_error());
        // SAFETY: see above.
        let faults = unsafe { OwnedFd::from_raw_fd(i32::try_from(faults).unwrap()) };
        let mut api = Api { api: UFFD_API, features: 0, ioctls: 0 };
        // SAFETY: the structure is the one that this request reads and writes.
        assert_eq!(unsafe { libc::ioctl(faults.as_raw_fd(), UFFDIO_API, &raw mut api) }, 0);
        let mut register = Register { start: page as u64, length: PAGE as u64, mode: MISSING, ioctls: 0 };
        // SAFETY: likewise; the page is this object's own.
        assert_eq!(unsafe { libc::ioctl(faults.as_raw_fd(), UFFDIO_REGISTER, &raw mut register) }, 0);
        let page = page as usize;
        let thread = thread::spawn(move || {
            let from = ptr::with_exposed_provenance::<libc::c_void>(page);
            // SAFETY: the page is mapped until this thread was joined.
            unsafe { libc::send(socket.as_raw_fd(), from, PAGE, libc::MSG_NOSIGNAL) };
        });
        let holder = Self { faults: Some(faults), page, thread: Some(thread) };
        holder.await_fault();
        holder
    }

    /// Waits until the kernel asks for the page: it copies from it, with the lock held.
    fn await_fault(&self) {
        let faults = self.faults.as_ref().unwrap();
        let ready =
            poll(&mut [PollFd::new(faults.as_fd(), PollFlags::POLLIN)], PollTimeout::from(60_000_u16));
        assert_eq!(ready, Ok(1), "the page is asked for");
    }

    /// Lets go.
    fn release(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Who asks for a page then gets an empty one.
        self.faults = None;
        let ended = self.thread.take().map(JoinHandle::join);
        if ended.is_some() {
            // SAFETY: the page is mapped, and whoever used it has ended.
            unsafe { libc::munmap(ptr::with_exposed_provenance_mut(self.page), PAGE) };
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.end();
    }
}

fn what_waits_for_a_lock_is_named_and_the_rest_goes_on() {
    let host = Host::new("lock");
    let app = host.cgroup("app");
    let dying = "keepalive: {idle: 1s, interval: 1s, probes: 2}";
    let policies = document("p", "app*", super::KEEPALIVE) + &document("dying", "dying", dying);
    host.write_policies("p.yaml", &policies);
    let (far_netns, mut far) = far_end(&host, "10.82.1.1/24", "10.82.1.2/24");
    let [dying, holding] = ["dying", "holding"].map(|name| host.cgroup(name));
    let mut near = host.peer(&dying);
    let mut command = host.command("run");
    command.args(["--silent-after", "4s"]).env("RUST_LOG", "keepalive_daemon=trace");
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    daemon.wait_line("peers that are found dead are counted").unwrap();
    let (listener, address) = far.listen("10.82.1.2:0", false);
    let _client = near.connect(address);
    let _server = far.accept(listener);
    let mut holder = host.peer(&holding);
    let _pair = holder.pair();
    let socket = sockets_of(holder.process().pid()).into_iter().next().unwrap();

    let holder = Holder::hold(socket);

    // While all that looks at sockets stands still, what governs cgroups does not,
    let late = host.cgroup("app-late");
    await_governed(&host, &daemon, &late);
    // nor what notices dead peers.
    far_netns.exec_ip(&["link", "set", "far0", "down"]).unwrap();
    daemon.wait_line("found a peer dead").unwrap();
    let told = daemon.wait_line("the look for connections that were kept alive does not go on").unwrap();
    assert!(told.contains(" WARN ") && told.contains("/stack"), "{told}");
    daemon.wait_line("the sweep of open connections does not go on").unwrap();
    let named = troubles(&host);
    assert!(named.contains("the sweep of open connections does not go on since 20"), "{named}");
    let mut health = Command::new(env!("CARGO_BIN_EXE_keepalive-daemon"));
    let health = health.args(["health", "--ready", "--api-socket"]).arg(host.socket()).output().unwrap();
    let health = (health.status.code(), String::from_utf8(health.stdout).unwrap());
    // It has done all that is asked of it: whoever can hold a lock must not keep a node from being ready.
    assert!(health.0 == Some(0) && health.1.contains("trouble: the sweep"), "{health:?}");
    assert_eq!(fresh(&host, &app), [ARMED; 2]);
    let warnings = |text: &str| text.matches("does not go on since").count();
    assert_eq!(warnings(&daemon.text(xtask::lab::Stream::Stderr)), 2, "each is told of once");

    holder.release();

    daemon.wait_line("what waited for the lock of a socket goes on again").unwrap();
    await_no_trouble(&host);
    eventually("what waited to be swept is", || {
        let status = host.status();
        let cgroups = status["cgroups"].as_array()?.iter();
        let late = { cgroups }.find(|cgroup| cgroup["path"] == "app-late")?["openConnections"].clone();
        (late["state"] == "swept").then_some(())
    });
}
