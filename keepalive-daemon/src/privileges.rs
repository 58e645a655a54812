//! What the daemon may do: no thread of it has more capabilities than its work takes, whatever it was started with.
//!
//! Capabilities belong to threads, and one that has given some up never gets them back. So those that hear strangers,
//! whose bytes are where mistakes are found, have none; the loop has what governing takes; and only the few that look at
//! open connections, everywhere on the node, keep all that is documented. Who takes over a thread can still write to the
//! memory of the others: this narrows what a mistake can do by itself, and is no wall between the threads. That they
//! have one memory is also why no other process may look into any of them: to one of its own user that has no
//! capabilities, a thread without them would be a way to those of the rest.

mod starter;

use std::{panic::resume_unwind, thread};

use anyhow::{Context as _, Result};
use nix::sys::prctl;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use tracing::{info, warn};

pub(crate) use starter::Starter;

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// To hear clients and to answer them.
    Clients,
    /// To attach, and to say what is in force: the loop.
    Govern,
    /// To find and to change connections that are open, or to look how they fare.
    Connections,
}

impl Duty {
    const ALL: [Self; 3] = [Self::Govern, Self::Connections, Self::Clients];

    /// The capabilities that it takes.
    const fn needs(self) -> CapabilitySet {
        match self {
            Self::Clients => CapabilitySet::empty(),
            // PERFMON, because the guard is loaded when the first policy enforces: without it the verifier also follows what
            // a processor may guess, which makes programs longer, and Linux 5.10 refuses some.
            Self::Govern => CapabilitySet::BPF.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::PERFMON),
            Self::Connections => {
                Self::Govern.needs().union(CapabilitySet::SYS_ADMIN).union(CapabilitySet::SYS_PTRACE)
            }
        }
    }

    /// What it keeps of what there is. `CAP_SYS_ADMIN` stands in for what the kernel's eBPF side asks for, and stays
    /// where something of that is missing.
    fn keeps(self, has: CapabilitySet) -> CapabilitySet {
        let needs = self.needs();
        let lacks = needs.difference(has);
        let stand_in = if lacks.is_empty() { CapabilitySet::empty() } else { CapabilitySet::SYS_ADMIN };
        needs.union(stand_in).intersection(has)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Govern => "governing",
            Self::Connections => "open_connections",
        }
    }
}

/// To be called before there is any other thread: nothing that this process could become has more rights than it, and
/// none that its user runs may look into it.
pub(crate) fn seal() {
    for (done, what) in [
        (prctl::set_no_new_privs(), "give up gaining privileges"),
        (prctl::set_dumpable(false), "keep other processes of this user from looking into this one"),
    ] {
        if let Err(error) = done {
            warn!(%error, "cannot {what}; does a seccomp profile refuse prctl(2)?");
        }
    }
}

/// Gives up, for good, what the calling thread does not need for its duty.
pub(crate) fn keep(duty: Duty) {
    let given_up = capabilities(None).and_then(|CapabilitySets { permitted, .. }| {
        let kept = duty.keeps(permitted);
        let nothing = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: nothing })
    });
    if let Err(error) = given_up {
        let duty = duty.name();
        warn!(%error, duty, "cannot give up capabilities; does a seccomp profile refuse capset(2)?");
    }
}

/// Runs `work` on a thread of its own that has neither `CAP_PERFMON` nor `CAP_SYS_ADMIN`, which stands in for it.
///
/// # Errors
/// If `work` fails, or the capabilities cannot be given up.
pub(crate) fn without_perfmon<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let reduced = || {
        let CapabilitySets { permitted, .. } = capabilities(None).context("cannot read the capabilities")?;
        let kept = permitted.difference(CapabilitySet::PERFMON.union(CapabilitySet::SYS_ADMIN));
        let nothing = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: nothing })
            .context("cannot give up CAP_PERFMON")?;
        work()
    };
    thread::scope(|scope| scope.spawn(reduced).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Keeps what the loop needs, and tells what each kind of thread has kept.
pub(crate) fn settle() {
    let has = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    let [governing, open_connections, clients] = Duty::ALL.map(|duty| names(duty.keeps(has)));
    keep(Duty::Govern);
    info!(governing, open_connections, clients, "gave up the capabilities that no thread needs any more");
}

/// As in `CAP_BPF CAP_NET_ADMIN`.
fn names(set: CapabilitySet) -> String {
    let names: Vec<_> = set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: CapabilitySet = CapabilitySet::all();

    #[test]
    fn root_keeps_what_each_duty_takes_and_nothing_else() {
        let kept = Duty::ALL.map(|duty| names(duty.keeps(ROOT)));

        let all = "CAP_NET_ADMIN CAP_SYS_PTRACE CAP_SYS_ADMIN CAP_PERFMON CAP_BPF";
        assert_eq!(kept, ["CAP_NET_ADMIN CAP_PERFMON CAP_BPF", all, "none"]);
    }

    #[test]
    fn the_most_that_any_keeps_is_what_the_manifest_gives() {
        let manifest = include_str!("../../deploy/kubernetes/base/daemon-set.yaml");
        let base: serde_json::Value = serde_saphyr::from_str(manifest).expect("it is YAML");

        let added =
            &base["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]["add"];
        let added = added.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name"));
        let added = added.map(|name| CapabilitySet::from_name(name).expect("a capability"));
        assert_eq!(added.collect::<CapabilitySet>(), Duty::Connections.needs());
    }

    #[test]
    fn what_stands_in_for_others_stays_only_where_they_are_missing() {
        let without_bpf = ROOT.difference(CapabilitySet::BPF);

        assert_eq!(names(Duty::Govern.keeps(without_bpf)), "CAP_NET_ADMIN CAP_SYS_ADMIN CAP_PERFMON");
        assert_eq!(names(Duty::Clients.keeps(without_bpf)), "none");
        assert_eq!(names(Duty::Govern.keeps(CapabilitySet::BPF)), "CAP_BPF");
    }

    #[test]
    fn what_is_given_up_is_gone() {
        let kept = thread::spawn(|| {
            keep(Duty::Clients);
            capabilities(None).expect("they can be read")
        });

        let CapabilitySets { effective, permitted, inheritable } = kept.join().expect("it ends");
        assert_eq!([effective, permitted, inheritable], [CapabilitySet::empty(); 3]);
    }
}
