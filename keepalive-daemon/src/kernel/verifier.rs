//! What the kernel's verifier has to do for each program: it refuses one that would take it too long, and how long it
//! takes is how long a daemon takes to start.

mod log;

use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd},
};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Btf, EbpfLoader,
    maps::{Map, MapData},
};
use aya_obj::{
    Object,
    btf::BtfKind,
    generated::{
        bpf_attach_type::{
            self, BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS, BPF_TRACE_ITER, BPF_TRACE_RAW_TP,
        },
        bpf_prog_type::{self, BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_PROG_TYPE_SOCK_OPS, BPF_PROG_TYPE_TRACING},
    },
};
use keepalive_ebpf::{
    CLOSING_ERROR_PROGRAM, CLOSING_OFFSETS, CLOSING_PROGRAM, GUARD_PROGRAM, OFFSETS, PROGRAM,
    PROGRAM_WITH_LOG, SOCKETS_PROGRAM, SWEEP_PROGRAM,
};
use serde::Serialize;

use self::log::Statistics;
use super::{
    memory_limit::MemoryLimit,
    object::{CLOSING_MAPS, LOG_MAP, OBJECT, SWEEP_MAPS, shrink},
    offsets,
    sys::{self, load},
};

/// A program as the kernel took it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verified {
    /// What it has.
    pub(crate) instructions: usize,
    /// What the verifier went through, one way after the other; a million is the most.
    pub(crate) verified: u64,
    /// The bytes of stack of all its functions together; 512 is the most for those that call each other.
    pub(crate) stack: u64,
    pub(crate) verification_us: u64,
    /// What it became; 0 where the kernel interprets programs, or tells this process nothing.
    pub(crate) jited_bytes: u32,
}

/// A program of the object, and what kind it is.
struct Entry {
    name: &'static str,
    kind: bpf_prog_type,
    attach_type: bpf_attach_type,
    /// What of the kernel's own it hangs on.
    hangs_on: Option<(&'static str, BtfKind)>,
}

const ENTRIES: [Entry; 7] = [
    sock_ops(PROGRAM),
    sock_ops(PROGRAM_WITH_LOG),
    Entry {
        name: GUARD_PROGRAM,
        kind: BPF_PROG_TYPE_CGROUP_SOCKOPT,
        attach_type: BPF_CGROUP_SETSOCKOPT,
        hangs_on: None,
    },
    iterator(SWEEP_PROGRAM),
    iterator(SOCKETS_PROGRAM),
    tracepoint(CLOSING_PROGRAM, "btf_trace_inet_sock_set_state"),
    tracepoint(CLOSING_ERROR_PROGRAM, "btf_trace_inet_sk_error_report"),
];

const fn sock_ops(name: &'static str) -> Entry {
    Entry { name, kind: BPF_PROG_TYPE_SOCK_OPS, attach_type: BPF_CGROUP_SOCK_OPS, hangs_on: None }
}

const fn iterator(name: &'static str) -> Entry {
    Entry {
        name,
        kind: BPF_PROG_TYPE_TRACING,
        attach_type: BPF_TRACE_ITER,
        hangs_on: Some(("bpf_iter_tcp", BtfKind::Func)),
    }
}

const fn tracepoint(name: &'static str, hook: &'static str) -> Entry {
    Entry {
        name,
        kind: BPF_PROG_TYPE_TRACING,
        attach_type: BPF_TRACE_RAW_TP,
        hangs_on: Some((hook, BtfKind::Typedef)),
    }
}

/// Loads every program for a moment; says of each what the verifier did, or why the kernel refuses it.
///
/// # Errors
/// If there is not even what they all need.
pub(crate) fn measure() -> Result<Vec<(&'static str, Result<Verified>)>> {
    let _memory_limit = MemoryLimit::raise();
    // A kernel that does not describe its types takes the programs that need no offsets all the same.
    let (ends, closing) = offsets::find_closing().unwrap_or_default();
    let (ends, closing) = (ends.to_words(), closing.to_words());
    let mut loader = EbpfLoader::new();
    shrink(&mut loader, &[LOG_MAP])?;
    shrink(&mut loader, &SWEEP_MAPS)?;
    shrink(&mut loader, &CLOSING_MAPS)?;
    loader.override_global(OFFSETS, &ends[..], true).override_global(CLOSING_OFFSETS, &closing[..], true);
    let maps = loader.load(OBJECT).context("cannot create the eBPF maps (it needs CAP_BPF)")?;
    let maps: HashMap<&str, RawFd> =
        maps.maps().filter_map(|(name, map)| Some((name, descriptor(map)?))).collect();
    let (object, types) = relocated(&maps)?;
    let kernel_types = Btf::from_sys_fs();
    let each = ENTRIES.iter().map(|entry| {
        let hangs_on = match (entry.hangs_on, &kernel_types) {
            (None, _) => Ok(0),
            (Some((name, kind)), Ok(types)) => types.id_by_type_name_kind(name, kind).map_err(Into::into),
            (Some(_), Err(error)) => Err(anyhow!("cannot read the kernel's types: {error}")),
        };
        (entry.name, hangs_on.and_then(|hangs_on| verify(&object, entry, hangs_on, &types)))
    });
    Ok(each.collect())
}

/// The object as aya would load it, with its types.
fn relocated(maps: &HashMap<&str, RawFd>) -> Result<(Object, OwnedFd)> {
    let mut object = Object::parse(OBJECT)?;
    let features = aya::features();
    let supported = features.btf().context("this kernel takes no types of programs")?;
    let types = object.fixup_and_sanitize_btf(supported)?.context("the object has no types")?;
    let types = load::load_types(&types.to_bytes()).context("the kernel does not take the types")?;
    let described = std::mem::take(&mut object.maps);
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let with_descriptors =
        described.iter().filter_map(|(name, map)| Some((name.as_str(), *maps.get(name.as_str())?, map)));
    object.relocate_maps(with_descriptors, &sections)?;
    object.relocate_calls(&sections)?;
    object.sanitize_functions(features);
    Ok((object, types))
}

fn verify(object: &Object, entry: &Entry, attach_btf_id: u32, types: &OwnedFd) -> Result<Verified> {
    let Entry { name, kind, attach_type, .. } = *entry;
    let program = object.programs.get(name).with_context(|| format!("the object holds no program {name}"))?;
    let function = object.functions.get(&program.function_key());
    let function = function.with_context(|| format!("the program {name} has no instructions"))?;
    let (loaded, log) = load::load_program(&load::Program {
        kind,
        attach_type,
        attach_btf_id,
        function,
        license: &program.license,
        types: types.as_fd(),
    });
    let loaded = loaded.with_context(|| log::reason(&log))?;
    let Statistics { verified, stack, verification_us } =
        Statistics::parse(&log).with_context(|| format!("the verifier tells no numbers: {log}"))?;
    let jited_bytes = sys::program_info(loaded.as_fd())?.jited_bytes;
    Ok(Verified { instructions: function.instructions.len(), verified, stack, verification_us, jited_bytes })
}

/// The descriptor of a map of one of the kinds that the object has.
fn descriptor(map: &Map) -> Option<RawFd> {
    let data: &MapData = match map {
        Map::Array(data)
        | Map::CgroupStorage(data)
        | Map::HashMap(data)
        | Map::PerCpuCgroupStorage(data)
        | Map::RingBuf(data)
        | Map::SkStorage(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd().as_raw_fd())
}
