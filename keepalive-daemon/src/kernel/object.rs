//! The eBPF object: its bytes, loading it, and the program all links run.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapInfo},
    programs::{CgroupAttachMode, ProgramError, SockOps, links::FdLink},
};
use keepalive_ebpf::{
    CLAIMS_MAP, COUNTERS_MAP, DEAD_PEER_LOG_MAP, DEAD_PEERS_MAP, DESTINATIONS_MAP, LISTENING_MAP, POLICY_MAP,
    PROGRAM, PROGRAM_WITH_LOG, TARGETS_MAP, WORK_MAP,
};

use super::{
    guard::{self, Guard},
    pins::{Pins, remove_file, waiting},
    refusal::{AttachError, Why},
    rules::Rules,
    storage::{self, Storage},
    sys::{self, Hook},
};

pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/keepalive"));
/// The ring buffer of aya-log.
pub(super) const LOG_MAP: &str = "AYA_LOGS";
/// What outlasts the daemon; both programs use all of them.
const PINNED_MAPS: [&str; 4] = [POLICY_MAP, COUNTERS_MAP, CLAIMS_MAP, DESTINATIONS_MAP];
/// What the sweep alone uses, which loads the object for itself.
pub(super) const SWEEP_MAPS: [&str; 3] = [TARGETS_MAP, LISTENING_MAP, WORK_MAP];
/// What the program alone uses that looks at connections as they end; it is loaded for itself, too.
pub(super) const CLOSING_MAPS: [&str; 2] = [DEAD_PEERS_MAP, DEAD_PEER_LOG_MAP];

/// A loaded program with its maps.
pub(crate) struct Object {
    ebpf: Ebpf,
    /// What outlasts the daemon, each by its name.
    maps: Vec<(&'static str, OwnedFd)>,
    name: &'static str,
    /// The pinned program, where it is the same as the loaded one.
    adopted: Option<SockOps>,
    /// The program's id in the kernel.
    pub(crate) program_id: u32,
    /// Absent until a policy enforces.
    guard: Option<Guard>,
    pub(crate) storage: Storage,
    pub(crate) rules: Rules,
    /// Set if the program writes log lines.
    pub(crate) logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

impl Object {
    /// Loads the object with the maps of `pins`, creating and pinning those that are missing, and with the
    /// pinned program if that is the same one: then links made before and after a restart run one program.
    pub(crate) fn load_pinned(pins: &Pins, log: bool) -> Result<Self> {
        storage::check_pinned_maps(pins)?;
        let paths: Vec<(&str, PathBuf)> = PINNED_MAPS.map(|name| (name, pins.map(name))).into();
        let missing: Vec<&PathBuf> =
            paths.iter().map(|(_, path)| path).filter(|path| !path.exists()).collect();
        // Loading pins the maps before it comes to the program.
        let mut object = Self::load(&paths, log).inspect_err(|_| {
            for path in &missing {
                let _ = remove_file(path);
            }
        })?;
        // A daemon that was killed half-way may have left one.
        remove_file(&waiting(pins.layout()))?;
        let path = pins.program();
        let loaded = own(object.program()?.fd()?.as_fd())?;
        // A program with a log is never adopted: its ring buffer went with the daemon that drained it.
        let same = if log { None } else { same_program(&path, loaded.as_fd(), pins)? };
        if let Some(pinned) = same {
            object.program_id = sys::program_info(pinned.as_fd())?.id;
            let adopted = SockOps::from_pin(&path);
            object.adopted = Some(adopted.with_context(|| format!("cannot open {}", path.display()))?);
            program_mut(&mut object.ebpf, object.name)?.unload()?;
        } else {
            put(&path, loaded.as_fd(), pins)?;
        }
        Ok(object)
    }

    /// Pins the maps and programs in another place, over what is pinned there: what is attached from now on uses these.
    pub(crate) fn pin(&mut self, pins: &Pins) -> Result<()> {
        remove_file(&waiting(pins.layout()))?;
        for (name, map) in &self.maps {
            put(&pins.map(name), map.as_fd(), pins)?;
        }
        put(&pins.program(), self.program()?.fd()?.as_fd(), pins)?;
        self.guard.as_ref().map_or(Ok(()), |guard| guard.pin(pins))
    }

    /// Loads the object for this process alone, sharing only the map of claims of a daemon if there is one.
    pub(crate) fn load_private(pins: Option<&Pins>) -> Result<Self> {
        let mut paths = Vec::new();
        if let Some(pins) = pins
            && pins.map(CLAIMS_MAP).exists()
        {
            storage::check_pinned_maps(pins)?;
            paths.push((CLAIMS_MAP, pins.map(CLAIMS_MAP)));
        }
        Self::load(&paths, false)
    }

    fn load(pinned_maps: &[(&str, PathBuf)], log: bool) -> Result<Self> {
        // Also keeps aya from attaching without a link, as it does before 5.7: that would shut others out.
        if !sys::can_set_keepalive() {
            bail!(
                "this kernel does not let an eBPF program set keep-alive options (bpf_setsockopt with \
                 SO_KEEPALIVE in sock_ops, and links to cgroups); Linux 5.9 is the first that does"
            );
        }
        let mut loader = EbpfLoader::new();
        for (name, path) in pinned_maps {
            loader.map_pin_path(name, path.as_path());
        }
        if !log {
            shrink(&mut loader, &[LOG_MAP])?;
        }
        shrink(&mut loader, &SWEEP_MAPS)?;
        shrink(&mut loader, &CLOSING_MAPS)?;
        let mut ebpf = loader.load(OBJECT).context(
            "cannot create the eBPF maps (it needs CAP_BPF, and before Linux 5.11 CAP_SYS_RESOURCE where \
             RLIMIT_MEMLOCK is low); `keepalive-daemon probe` shows what this kernel and these privileges lack",
        )?;
        drop_maps(&mut ebpf, &SWEEP_MAPS);
        drop_maps(&mut ebpf, &CLOSING_MAPS);
        let name = if log { PROGRAM_WITH_LOG } else { PROGRAM };
        let logger = if log {
            Some(aya_log::EbpfLogger::init(&mut ebpf).context("cannot read the program's log")?)
        } else {
            // The quiet program does not refer to the ring buffer.
            drop_maps(&mut ebpf, &[LOG_MAP]);
            None
        };
        let program: &mut SockOps = program_mut(&mut ebpf, name)?;
        program.load().map_err(|error| rejected(&error)).with_context(|| {
            let when = if log { "for its log" } else { "before Linux 6.17" };
            format!(
                "the kernel does not accept the program {name} (it needs Linux 5.9, CAP_BPF, CAP_NET_ADMIN, and \
                 {when} CAP_PERFMON); `keepalive-daemon probe` shows what is missing"
            )
        })?;
        let program_id = sys::program_info(program.fd()?.as_fd())?.id;
        let maps = PINNED_MAPS.into_iter().map(|name| Ok((name, map_handle(&ebpf, name)?)));
        let maps = maps.collect::<Result<_>>()?;
        let storage = Storage::new(take_map(&mut ebpf, POLICY_MAP)?, take_map(&mut ebpf, COUNTERS_MAP)?)?;
        let rules = Rules::new(take_map(&mut ebpf, DESTINATIONS_MAP)?)?;
        Ok(Self { ebpf, maps, name, adopted: None, program_id, guard: None, storage, rules, logger })
    }

    fn program(&mut self) -> Result<&mut SockOps> {
        match &mut self.adopted {
            Some(adopted) => Ok(adopted),
            None => program_mut(&mut self.ebpf, self.name),
        }
    }

    /// The guard, loaded for this process alone.
    pub(crate) fn private_guard(&mut self) -> Result<OwnedFd> {
        guard::load(&mut self.ebpf)
    }

    /// The guard; loads it the first time.
    pub(crate) fn guard(&mut self, pins: &Pins) -> Result<&Guard> {
        match &mut self.guard {
            Some(guard) => Ok(guard),
            none => Ok(none.insert(Guard::load(&mut self.ebpf, pins)?)),
        }
    }

    /// Attaches the program to a cgroup for as long as the link, or a pin of it, lives.
    pub(crate) fn attach(&mut self, cgroup: &File) -> Result<FdLink, AttachError> {
        // A link always shares the cgroup with others (`BPF_F_ALLOW_MULTI`); passing that flag to
        // BPF_LINK_CREATE is EINVAL on every kernel, and `Single` is how aya spells no flags.
        let program = self.program()?;
        let link = program
            .attach(cgroup, CgroupAttachMode::Single)
            .and_then(|id| program.take_link(id))
            .map_err(|error| match &error {
                ProgramError::SyscallError(call) => refusal(&call.io_error, call.call, Hook::SockOps),
                error => AttachError::new(Why::Other, error.to_string()),
            })?;
        FdLink::try_from(link).map_err(|error| AttachError::new(Why::Other, error.to_string()))
    }
}

/// Why the kernel did not load the program. The verifier's log follows every step it took; the reason is at the
/// end, before the statistics.
pub(super) fn rejected(error: &ProgramError) -> anyhow::Error {
    const LAST_LINES: usize = 4;

    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return anyhow!("{error}");
    };
    tracing::debug!("the verifier's log:\n{verifier_log}");
    let log = verifier_log.to_string();
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let reason = lines[lines.len().saturating_sub(LAST_LINES)..].join("; ");
    if reason.is_empty() { anyhow!("{io_error}") } else { anyhow!("{io_error}: {reason}") }
}

/// Why the kernel did not attach a program.
pub(super) fn refusal(error: &io::Error, call: &str, hook: Hook) -> AttachError {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV) => AttachError::Gone,
        Some(libc::E2BIG) => AttachError::new(
            Why::TooManyPrograms,
            format!("the cgroup has 64 {hook} programs already, the kernel's limit"),
        ),
        Some(libc::ENOMEM) => AttachError::new(
            Why::OutOfMemory,
            "the kernel has no memory for its storage (before 5.11: raise RLIMIT_MEMLOCK)",
        ),
        Some(libc::EPERM | libc::EACCES) => AttachError::new(Why::NotPermitted, format!("{call}: {error}")),
        _ => AttachError::new(Why::Other, format!("{call}: {error}")),
    }
}

/// The program pinned at `path`, if it is the loaded one: the same instructions on the same maps.
pub(super) fn same_program(path: &Path, loaded: BorrowedFd<'_>, pins: &Pins) -> Result<Option<OwnedFd>> {
    let Ok(pin) = sys::open_pin(path) else { return Ok(None) };
    if sys::kind(pin.as_fd())? != sys::Kind::Program {
        return Ok(None);
    }
    let pinned = sys::program_info(pin.as_fd())?;
    for name in PINNED_MAPS {
        let map = MapInfo::from_pin(pins.map(name))?;
        if !pinned.map_ids.contains(&map.id()) {
            return Ok(None);
        }
    }
    Ok((pinned.tag == sys::program_info(loaded)?.tag).then_some(pin))
}

/// Pins a map or a program at `path`, in the place of what is there.
pub(super) fn put(path: &Path, object: BorrowedFd<'_>, pins: &Pins) -> Result<()> {
    let next = waiting(pins.layout());
    sys::pin(object, &next).with_context(|| format!("cannot pin {}", next.display()))?;
    std::fs::rename(&next, path).with_context(|| format!("cannot put {} in place", path.display()))
}

fn own(descriptor: BorrowedFd<'_>) -> Result<OwnedFd> {
    descriptor.try_clone_to_owned().context("cannot duplicate a descriptor")
}

fn program_mut<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SockOps> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the object holds no program {name}"))?;
    Ok(program.try_into()?)
}

/// Has maps made as small as they can be, until [`drop_maps`]: those that no program uses which is to be loaded are made
/// with the object all the same.
pub(super) fn shrink<'a>(loader: &mut EbpfLoader<'a>, names: &[&'a str]) -> Result<()> {
    for name in names {
        let is_ring = [LOG_MAP, DEAD_PEER_LOG_MAP].contains(name);
        loader.map_max_entries(name, if is_ring { page_size()? } else { 1 });
    }
    Ok(())
}

/// Drops maps that no program uses: with this, the kernel frees them.
pub(super) fn drop_maps(ebpf: &mut Ebpf, names: &[&str]) {
    for name in names {
        drop(ebpf.take_map(name));
    }
}

fn page_size() -> Result<u32> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096);
    Ok(u32::try_from(size)?)
}

/// Takes a map out of an object, whose programs go on to use it.
pub(super) fn take_any_map(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).ok_or_else(|| anyhow!("the object holds no map {name}"))
}

fn map_handle(ebpf: &Ebpf, name: &str) -> Result<OwnedFd> {
    match ebpf.map(name) {
        Some(
            Map::CgroupStorage(data)
            | Map::PerCpuCgroupStorage(data)
            | Map::SkStorage(data)
            | Map::HashMap(data),
        ) => own(data.fd().as_fd()),
        other => Err(anyhow!("the map {name} is {other:?}")),
    }
}

fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::MapData> {
    match take_any_map(ebpf, name)? {
        Map::CgroupStorage(data) | Map::PerCpuCgroupStorage(data) | Map::HashMap(data) => Ok(data),
        other => Err(anyhow!("the map {name} is {other:?}")),
    }
}
