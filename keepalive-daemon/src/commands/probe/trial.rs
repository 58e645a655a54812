//! The trial: the real program, attached to a cgroup of its own or, in a container, to the container's, and a real
//! connection in it.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use keepalive_ebpf::{Counters, Direction, Mode, Policy, Timers};
use socket2::SockRef;

use super::{Check, State};
use crate::{
    kernel::{Cgroup, Private},
    workloads::Transient,
};

/// Values that no default has, so that what is read back can have come from the program only.
const TIMERS: Timers = Timers { idle_s: 4321, interval_s: 123, probes: 7, user_timeout_ms: 987_000 };

const LOAD: &str = "load the program";
const ATTACH: &str = "attach with a link";
const SET: &str = "set options at establishment";
const READ: &str = "read options back";

/// Goes through the steps; what comes after one that failed is not tried.
pub(super) fn checks(bpffs: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    let loaded = Private::load(bpffs);
    let loaded = step(&mut checks, LOAD, "Linux 5.9, CAP_BPF, CAP_NET_ADMIN", loaded);
    let attached = loaded.map(Trial::attach);
    let attached = attached
        .and_then(|trial| step(&mut checks, ATTACH, "Linux 5.7, a cgroup where it may attach", trial));
    let counters = attached.map(|trial| trial.connect());
    let counters =
        counters.and_then(|counters| step(&mut checks, SET, "the job itself, Linux 5.9", counters));
    let purpose = "FillMissing and Tighten respect what was set before a connection, Linux 6.1";
    match counters {
        Some(counters) if counters.armed_blind == 0 => checks.push(Check::present(READ, purpose, "")),
        Some(_) => checks.push(Check::absent(
            READ,
            State::Degraded,
            purpose,
            "both set the policy's values instead; only values set later are the application's own",
        )),
        None => {}
    }
    for (name, purpose) in [(ATTACH, ""), (SET, ""), (READ, purpose)] {
        if checks.iter().all(|check| check.name != name) {
            checks.push(Check::absent(name, State::Untried, purpose, "cure what is missing above first"));
        }
    }
    checks
}

fn step<T>(checks: &mut Vec<Check>, name: &str, purpose: &'static str, tried: Result<T>) -> Option<T> {
    match tried {
        Ok(done) => {
            checks.push(Check::present(name, purpose, ""));
            Some(done)
        }
        Err(error) => {
            checks.push(Check::absent(name, State::Missing, purpose, format!("{error:#}")));
            None
        }
    }
}

struct Trial {
    kernel: Private,
    cgroup: Transient,
    _link: crate::kernel::PrivateLink,
}

impl Trial {
    fn attach(mut kernel: Private) -> Result<Self> {
        let cgroup = Transient::create_or_own()?;
        let policy = Policy::new(Mode::Tighten, Direction::Both, TIMERS);
        let policy = policy.claiming(true).of_cgroup(cgroup.id());
        let at = Cgroup { root: cgroup.path(), path: "", id: cgroup.id() };
        let link = kernel.attach(at, &policy)?;
        Ok(Self { kernel, cgroup, _link: link })
    }

    /// Makes a connection to itself inside the cgroup and reads both ends.
    fn connect(&self) -> Result<Counters> {
        self.cgroup.enter()?;
        let connected = connect_to_self();
        self.cgroup.leave()?;
        let (client, server) = connected.context("cannot connect over the loopback")?;
        for end in [&client, &server] {
            check_options(&SockRef::from(end))?;
        }
        self.kernel
            .counters(self.cgroup.id())?
            .context("the kernel keeps no counters for the cgroup of the trial")
    }
}

fn connect_to_self() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    Ok((client, server))
}

fn check_options(socket: &SockRef<'_>) -> Result<()> {
    let found = (
        socket.keepalive()?,
        socket.tcp_keepalive_time()?,
        socket.tcp_keepalive_interval()?,
        socket.tcp_keepalive_retries()?,
        socket.tcp_user_timeout()?,
    );
    let wanted = (
        true,
        Duration::from_secs(TIMERS.idle_s.into()),
        Duration::from_secs(TIMERS.interval_s.into()),
        TIMERS.probes,
        Some(Duration::from_millis(TIMERS.user_timeout_ms.into())),
    );
    if found != wanted {
        bail!("the kernel did not take the options from the program: set {wanted:?}, found {found:?}");
    }
    Ok(())
}
