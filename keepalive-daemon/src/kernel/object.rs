//! The eBPF object: its bytes, loading it, and the program all links run.

use std::{fs::File, os::fd::AsFd as _, path::PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapInfo},
    programs::{CgroupAttachMode, ProgramError, SockOps, links::FdLink},
};
use keepalive_ebpf::{
    CLAIMS_MAP, COUNTERS_MAP, LISTENING_MAP, POLICY_MAP, PROGRAM, PROGRAM_WITH_LOG, TARGETS_MAP, WORK_MAP,
};

use super::{
    pins::{Pins, remove_file},
    storage::{self, Storage},
    sys,
};

pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/keepalive"));
/// The ring buffer of aya-log.
pub(super) const LOG_MAP: &str = "AYA_LOGS";
/// What the sweep alone uses, which loads the object for itself.
const SWEEP_MAPS: [&str; 3] = [TARGETS_MAP, LISTENING_MAP, WORK_MAP];

/// A loaded program with its maps.
pub(crate) struct Object {
    ebpf: Ebpf,
    name: &'static str,
    /// The pinned program, where it is the same as the loaded one.
    adopted: Option<SockOps>,
    /// The program's id in the kernel.
    pub(crate) program_id: u32,
    pub(crate) storage: Storage,
    /// Set if the program writes log lines.
    pub(crate) logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

/// Why the program could not be attached to a cgroup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The cgroup vanished meanwhile.
    #[error("the cgroup is gone")]
    Gone,
    /// The kernel said no.
    #[error("{0}")]
    Refused(String),
}

impl Object {
    /// Loads the object with the maps of `pins`, creating and pinning those that are missing, and with the
    /// pinned program if that is the same one: then links made before and after a restart run one program.
    pub(crate) fn load_pinned(pins: &Pins, log: bool) -> Result<Self> {
        storage::check_pinned_maps(pins)?;
        let paths: Vec<(&str, PathBuf)> =
            [POLICY_MAP, COUNTERS_MAP, CLAIMS_MAP].map(|name| (name, pins.map(name))).into();
        let missing: Vec<&PathBuf> =
            paths.iter().map(|(_, path)| path).filter(|path| !path.exists()).collect();
        // Loading pins the maps before it comes to the program.
        let mut object = Self::load(&paths, log).inspect_err(|_| {
            for path in &missing {
                let _ = remove_file(path);
            }
        })?;
        // A daemon that was killed half-way may have left one.
        let next = pins.layout().join("next_program");
        remove_file(&next)?;
        // A program with a log is never adopted: its ring buffer went with the daemon that drained it.
        if !log && let Some(pinned) = object.pinned_equal(pins)? {
            object.program_id = sys::program_info(pinned.fd()?.as_fd())?.id;
            object.adopted = Some(pinned);
            program_mut(&mut object.ebpf, object.name)?.unload()?;
        } else {
            object.program()?.pin(&next).with_context(|| format!("cannot pin {}", next.display()))?;
            std::fs::rename(&next, pins.program())
                .with_context(|| format!("cannot put {} in place", pins.program().display()))?;
        }
        Ok(object)
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
            // Made with the object all the same; as small as a ring buffer can be until it is dropped below.
            loader.map_max_entries(LOG_MAP, page_size()?);
        }
        for name in SWEEP_MAPS {
            loader.map_max_entries(name, 1);
        }
        let mut ebpf = loader.load(OBJECT).context(
            "cannot create the eBPF maps (it needs CAP_BPF); `keepalive-daemon probe` shows what this kernel \
             and these privileges lack",
        )?;
        for name in SWEEP_MAPS {
            drop(ebpf.take_map(name));
        }
        let name = if log { PROGRAM_WITH_LOG } else { PROGRAM };
        let logger = if log {
            Some(aya_log::EbpfLogger::init(&mut ebpf).context("cannot read the program's log")?)
        } else {
            // The quiet program does not refer to the ring buffer: with this, the kernel frees it.
            drop(ebpf.take_map(LOG_MAP));
            None
        };
        let program: &mut SockOps = program_mut(&mut ebpf, name)?;
        program.load().map_err(|error| rejected(&error)).with_context(|| {
            let needs_more = if log { ", and for its log CAP_PERFMON" } else { "" };
            format!(
                "the kernel does not accept the program {name} (it needs Linux 5.9, CAP_BPF and \
                 CAP_NET_ADMIN{needs_more}); `keepalive-daemon probe` shows what is missing"
            )
        })?;
        let program_id = sys::program_info(program.fd()?.as_fd())?.id;
        let storage = Storage::new(take_map(&mut ebpf, POLICY_MAP)?, take_map(&mut ebpf, COUNTERS_MAP)?)?;
        Ok(Self { ebpf, name, adopted: None, program_id, storage, logger })
    }

    fn program(&mut self) -> Result<&mut SockOps> {
        match &mut self.adopted {
            Some(adopted) => Ok(adopted),
            None => program_mut(&mut self.ebpf, self.name),
        }
    }

    /// The pinned program, if it is this one: the same instructions on the same maps.
    fn pinned_equal(&mut self, pins: &Pins) -> Result<Option<SockOps>> {
        let path = pins.program();
        let Ok(pin) = sys::open_pin(&path) else { return Ok(None) };
        if sys::kind(pin.as_fd())? != sys::Kind::Program {
            return Ok(None);
        }
        let pinned = sys::program_info(pin.as_fd())?;
        let ours = sys::program_info(self.program()?.fd()?.as_fd())?;
        for name in [POLICY_MAP, COUNTERS_MAP, CLAIMS_MAP] {
            let map = MapInfo::from_pin(pins.map(name))?;
            if !pinned.map_ids.contains(&map.id()) {
                return Ok(None);
            }
        }
        if pinned.tag != ours.tag {
            return Ok(None);
        }
        SockOps::from_pin(&path).map(Some).with_context(|| format!("cannot open {}", path.display()))
    }

    /// Attaches the program to a cgroup for as long as the link, or a pin of it, lives.
    pub(crate) fn attach(&mut self, cgroup: &File) -> Result<FdLink, AttachError> {
        // A link always shares the cgroup with others (`BPF_F_ALLOW_MULTI`); passing that flag to
        // BPF_LINK_CREATE is EINVAL on every kernel, and `Single` is how aya spells no flags.
        let program = self.program().map_err(|error| AttachError::Refused(format!("{error:#}")))?;
        let link = program
            .attach(cgroup, CgroupAttachMode::Single)
            .and_then(|id| program.take_link(id))
            .map_err(|error| refused(&error))?;
        FdLink::try_from(link).map_err(|error| AttachError::Refused(error.to_string()))
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

fn refused(error: &ProgramError) -> AttachError {
    let ProgramError::SyscallError(call) = error else {
        return AttachError::Refused(error.to_string());
    };
    match call.io_error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV) => AttachError::Gone,
        Some(libc::E2BIG) => {
            AttachError::Refused("the cgroup has 64 sock_ops programs already, the kernel's limit".to_owned())
        }
        Some(libc::ENOMEM) => AttachError::Refused(
            "the kernel has no memory for its storage (before 5.11: raise RLIMIT_MEMLOCK)".to_owned(),
        ),
        _ => AttachError::Refused(format!("{}: {}", call.call, call.io_error)),
    }
}

fn program_mut<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SockOps> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the object holds no program {name}"))?;
    Ok(program.try_into()?)
}

pub(super) fn page_size() -> Result<u32> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096);
    Ok(u32::try_from(size)?)
}

fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::MapData> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("the object holds no map {name}"))?;
    match map {
        Map::CgroupStorage(data) | Map::PerCpuCgroupStorage(data) => Ok(data),
        other => Err(anyhow!("the map {name} is {other:?}")),
    }
}
