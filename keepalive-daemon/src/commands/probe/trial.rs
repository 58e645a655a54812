//! The trial: the real programs, attached to a cgroup of its own or, in a container, to the container's, and real
//! connections in it.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use keepalive_ebpf::{Counters, Direction, Mode, Options, Policy, Timers};
use socket2::SockRef;

use super::{Check, State, features::Tried};
use crate::{
    features::Feature,
    kernel::{self, Cgroup, Private, PrivateLink},
    workloads::Transient,
};

/// Values that no default has, so that what is read back can have come from the program only.
const TIMERS: Timers = Timers { idle_s: 4321, interval_s: 123, probes: 7, user_timeout_ms: 987_000 };
/// What an application would weaken them with.
const WEAKER: Duration = Duration::from_secs(7200);

const LOAD: &str = "load the program";
const ATTACH: &str = "attach with a link";

/// Goes through the steps; what comes after one that failed is not tried.
pub(super) fn run(bpffs: &Path) -> (Vec<Check>, Vec<Tried>) {
    let mut checks = Vec::new();
    let mut tried = Vec::new();
    let loaded = step(&mut checks, LOAD, "all else; CAP_BPF, CAP_NET_ADMIN", Private::load(bpffs));
    let purpose = "all else; a cgroup where it may attach";
    match loaded.map(Trial::attach) {
        Some(attached) => {
            if let Some(mut trial) = step(&mut checks, ATTACH, purpose, attached) {
                tried = trial.try_all();
            }
        }
        None => checks.push(Check::absent(ATTACH, State::Untried, purpose, super::CURE_FIRST)),
    }
    (checks, tried)
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
    _link: PrivateLink,
}

/// Both ends of a connection.
type Ends = (TcpStream, TcpStream);

impl Trial {
    fn attach(mut kernel: Private) -> Result<Self> {
        let cgroup = Transient::create_or_own()?;
        let link = kernel.attach(at(&cgroup), &policy(Mode::Tighten, &cgroup))?;
        Ok(Self { kernel, cgroup, _link: link })
    }

    fn try_all(&mut self) -> Vec<Tried> {
        let established = self.establish();
        let (ends, counters) = match established {
            Ok(established) => established,
            Err(error) => return vec![(Feature::SetOptions, Err(error))],
        };
        let blind = counters.armed_blind > 0;
        let mut tried = vec![
            (Feature::SetOptions, Ok(())),
            (Feature::ReadBack, unless(blind, "the program was told no option")),
            (Feature::AnyOption, no_delay(&ends)),
            (Feature::Marks, unless(counters.refused_claim > 0, "the kernel refused the mark")),
        ];
        let policy = policy(Mode::Tighten, &self.cgroup);
        tried.push((Feature::Sweep, kernel::features::sweep(&policy)));
        tried.push((Feature::ListOptions, kernel::features::list_options()));
        tried.push((Feature::Guard, self.guard()));
        tried.push((Feature::LeastPrivilege, kernel::features::least_privilege()));
        tried
    }

    /// Makes a connection to itself inside the cgroup, sees that both ends have the values, and asks what was counted.
    fn establish(&self) -> Result<(Ends, Counters)> {
        let ends = self.connect()?;
        for end in [&ends.0, &ends.1] {
            check_options(&SockRef::from(end))?;
        }
        let counters = self.kernel.counters(self.cgroup.id())?;
        Ok((ends, counters.context("the kernel keeps no counters for the cgroup of the trial")?))
    }

    /// Tries to weaken what is enforced.
    fn guard(&mut self) -> Result<()> {
        let guard = self.kernel.guard(at(&self.cgroup), &policy(Mode::Enforce, &self.cgroup))?;
        let ends = self.connect()?;
        let socket = SockRef::from(&ends.0);
        // The call takes both, and is made from inside: which programs see it, the socket's cgroup says.
        socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(WEAKER))?;
        drop(guard);
        check_options(&socket).context("the application weakened what is enforced")
    }

    fn connect(&self) -> Result<Ends> {
        self.cgroup.enter()?;
        let connected = connect_to_self();
        self.cgroup.leave()?;
        connected.context("cannot connect over the loopback")
    }
}

fn at(cgroup: &Transient) -> Cgroup<'_> {
    Cgroup { root: cgroup.path(), path: "", id: cgroup.id() }
}

fn policy(mode: Mode, cgroup: &Transient) -> Policy {
    let options = Options { which: Options::NO_DELAY, no_delay: 1, ..Options::NONE };
    let policy = Policy::new(mode, Direction::Both, TIMERS).with_options(options);
    policy.claiming(true).of_cgroup(cgroup.id())
}

fn unless(lacking: bool, why: &'static str) -> Result<()> {
    if lacking { Err(anyhow!(why)) } else { Ok(()) }
}

fn no_delay((client, _): &Ends) -> Result<()> {
    let set = client.nodelay().context("cannot read TCP_NODELAY")?;
    unless(!set, "the kernel refused TCP_NODELAY")
}

fn connect_to_self() -> std::io::Result<Ends> {
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
