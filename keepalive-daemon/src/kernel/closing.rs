//! The connections that end because their peer was found dead, told by the program `closing`.
//!
//! The program hangs on a tracepoint of the kernel's that is passed when an application is told that its connection has
//! ended with an error, or, before Linux 6.10, when a connection changes its state; never for data. It needs nothing of `sock_ops`, whose callback flags belong to whoever set them. It is not pinned: what nobody
//! reads need not be counted, and it ends with whoever loaded it.

use std::{collections::BTreeMap, os::fd::AsFd as _, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{HashMap, MapData, RingBuf},
    programs::BtfTracePoint,
};
use aya_obj::btf::BtfKind;
use keepalive_ebpf::{
    CLAIMS_MAP, CLOSING_ERROR_PROGRAM, CLOSING_OFFSETS, CLOSING_PROGRAM, COUNTERS_MAP, DEAD_PEER_LOG_MAP,
    DEAD_PEERS_MAP, DESTINATIONS_MAP, DeadPeer, DeadPeers, OFFSETS, POLICY_MAP, UNCOUNTED,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    memory_limit::MemoryLimit,
    object::{LOG_MAP, OBJECT, SWEEP_MAPS, drop_maps, rejected, shrink, take_any_map},
    offsets,
};

/// The tracepoint where an application is told of an error.
const ERRORS: &str = "inet_sk_error_report";

/// What the kernel has since it closes a connection before it tells there, Linux 6.10.
const CLOSES_AND_REPORTS: &str = "tcp_done_with_error";

/// The tracepoint that does before.
const STATE_CHANGES: &str = "inet_sock_set_state";

/// The loaded program, attached for as long as this is there.
pub(crate) struct Closing {
    /// Holds the program.
    _ebpf: Ebpf,
    counts: HashMap<MapData, u64, [u64; 4]>,
    records: RingBuf<MapData>,
    ticks_a_second: u64,
    _memory_limit: MemoryLimit,
}

impl Closing {
    /// Loads the program and attaches it.
    ///
    /// # Errors
    /// If the kernel or the privileges do not suffice.
    pub(crate) fn load() -> Result<Self> {
        let memory_limit = MemoryLimit::raise();
        let (ends, closing) = offsets::find_closing()?;
        let (ends, words) = (ends.to_words(), closing.to_words());
        let mut loader = EbpfLoader::new();
        shrink(&mut loader, &[LOG_MAP, DESTINATIONS_MAP])?;
        shrink(&mut loader, &SWEEP_MAPS)?;
        let mut ebpf = loader
            .override_global(OFFSETS, &ends[..], true)
            .override_global(CLOSING_OFFSETS, &words[..], true)
            .load(OBJECT)
            .context("cannot create the eBPF maps (it needs CAP_BPF)")?;
        drop_maps(&mut ebpf, &[POLICY_MAP, COUNTERS_MAP, CLAIMS_MAP, DESTINATIONS_MAP, LOG_MAP]);
        drop_maps(&mut ebpf, &SWEEP_MAPS);
        let mut counts: HashMap<MapData, u64, [u64; 4]> =
            HashMap::try_from(take_any_map(&mut ebpf, DEAD_PEERS_MAP)?)?;
        counts.insert(UNCOUNTED, [0; 4], 0)?;
        let records = RingBuf::try_from(take_any_map(&mut ebpf, DEAD_PEER_LOG_MAP)?)?;
        let types = Btf::from_sys_fs().context("cannot read the kernel's types")?;
        attach(&mut ebpf, &types)?;
        let ticks_a_second = closing.ticks_a_second;
        Ok(Self { _ebpf: ebpf, counts, records, ticks_a_second, _memory_limit: memory_limit })
    }

    /// Waits until a peer was found dead, or the time is over.
    pub(crate) fn wait(&self, timeout: Duration) -> Result<()> {
        // One that has the most milliseconds there are waits long enough.
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.records.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context("cannot wait for the program's records"),
        }
    }

    /// Those that were found dead since this was called last.
    pub(crate) fn take(&mut self) -> Vec<DeadPeer> {
        let mut taken = Vec::new();
        while let Some(record) = self.records.next() {
            taken.extend(record.as_array().and_then(DeadPeer::from_bytes));
        }
        taken
    }

    /// How many were found dead in each cgroup, by its id, since the program was loaded.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub(crate) fn counts(&self) -> Result<BTreeMap<u64, DeadPeers>> {
        let counted =
            self.counts.iter().map(|entry| entry.map(|(id, words)| (id, DeadPeers::from_words(&words))));
        counted.collect::<Result<_, _>>().context("cannot read how many peers were found dead")
    }

    /// Forgets what was counted in a cgroup, to make room.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub(crate) fn forget(&mut self, cgroup: u64) -> Result<()> {
        self.counts.remove(&cgroup).with_context(|| format!("cannot forget the count of cgroup {cgroup}"))
    }

    /// A number of the kernel's ticks as time.
    pub(crate) fn time(&self, ticks: u32) -> Duration {
        Duration::from_millis(u64::from(ticks) * 1000 / self.ticks_a_second)
    }
}

/// Attaches the program that the kernel needs call least.
fn attach(ebpf: &mut Ebpf, types: &Btf) -> Result<()> {
    let closes_first = types.id_by_type_name_kind(CLOSES_AND_REPORTS, BtfKind::Func).is_ok();
    let (name, tracepoint) =
        if closes_first { (CLOSING_ERROR_PROGRAM, ERRORS) } else { (CLOSING_PROGRAM, STATE_CHANGES) };
    let program = ebpf.program_mut(name);
    let program: &mut BtfTracePoint =
        program.ok_or_else(|| anyhow!("the object holds no program {name}"))?.try_into()?;
    program.load(tracepoint, types).map_err(|error| rejected(&error)).with_context(|| {
        format!("the kernel does not accept the program {name} (it needs Linux 5.9, CAP_BPF and CAP_PERFMON)")
    })?;
    program.attach().with_context(|| format!("cannot attach to the tracepoint {tracepoint}"))?;
    Ok(())
}
