//! The sweep by the program `sweep`, which the kernel runs for each TCP socket of a network namespace.

use std::{
    fs::File,
    io::{self, Read as _},
    ops::ControlFlow,
    path::PathBuf,
};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData},
    programs::Iter,
};
use keepalive_ebpf::{
    CLAIMS_MAP, COUNTERS_MAP, DESTINATIONS_MAP, LISTENING_MAP, OFFSETS, Outcome, POLICY_MAP, SWEEP_PROGRAM,
    SWEPT_BYTES, Swept, TARGETS_MAP,
};

use super::{
    super::{
        object::{CLOSING_MAPS, LOG_MAP, OBJECT, drop_maps, rejected, shrink},
        offsets,
        pins::{Pins, exists},
        storage,
    },
    BATCH, Pass,
    namespaces::{self, Namespace},
    targets::Targets,
};

/// The loaded program.
pub(super) struct SocketIterator {
    ebpf: Ebpf,
    listening: Array<MapData, [u64; PORT_WORDS]>,
}

/// A bit a port.
const PORT_WORDS: usize = 1024;

/// How a pass ended.
pub(super) enum Passed {
    /// As far as it was wanted.
    Done(Pass),
    /// This kernel does not let the program read options: before 6.1. Nothing was set.
    Blind,
}

impl SocketIterator {
    /// Loads the program, with the maps of a daemon where they are pinned; it does what `targets` say.
    ///
    /// # Errors
    /// If the kernel or the privileges do not suffice.
    pub(super) fn load(pins: &Pins, targets: &Targets) -> Result<Self> {
        storage::check_pinned_maps(pins)?;
        let offsets = offsets::find()?.to_words();
        let mut shared: Vec<(&str, PathBuf)> = Vec::new();
        for name in [CLAIMS_MAP, DESTINATIONS_MAP] {
            let path = pins.map(name);
            if exists(&path)? {
                shared.push((name, path));
            }
        }
        let mut loader = EbpfLoader::new();
        for (name, path) in &shared {
            loader.map_pin_path(name, path);
        }
        shrink(&mut loader, &[LOG_MAP])?;
        shrink(&mut loader, &CLOSING_MAPS)?;
        let mut ebpf = loader
            .override_global(OFFSETS, &offsets[..], true)
            .load(OBJECT)
            .context("cannot create the eBPF maps (it needs CAP_BPF)")?;
        // What the other programs use.
        drop_maps(&mut ebpf, &[POLICY_MAP, COUNTERS_MAP, LOG_MAP]);
        drop_maps(&mut ebpf, &CLOSING_MAPS);
        let types = aya::Btf::from_sys_fs().context("cannot read the kernel's types")?;
        program(&mut ebpf)?.load("tcp", &types).map_err(|error| rejected(&error)).with_context(|| {
            format!(
                "the kernel does not accept the program {SWEEP_PROGRAM} (it needs Linux 5.15, CAP_BPF and CAP_PERFMON)"
            )
        })?;
        targets.show(HashMap::try_from(take_map(&mut ebpf, TARGETS_MAP)?)?);
        let listening = Array::try_from(take_map(&mut ebpf, LISTENING_MAP)?)?;
        Ok(Self { ebpf, listening })
    }

    /// See [`super::Sweeper::pass`].
    pub(super) fn pass(&mut self, each: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Passed> {
        let namespaces::Found { namespaces, unreachable } = namespaces::all()?;
        let mut pass = Pass { unreachable, ..Pass::default() };
        for namespace in &namespaces {
            let sockets = match self.open(namespace) {
                Ok(Some(sockets)) => sockets,
                Ok(None) => continue,
                Err(error) => {
                    pass.unreachable.push((namespace.name(), format!("{error:#}")));
                    continue;
                }
            };
            pass.namespaces += 1;
            match read_all(sockets, each)
                .with_context(|| format!("cannot walk the sockets of {}", namespace.name()))?
            {
                Walked::All => {}
                Walked::Left => break,
                Walked::Blind => return Ok(Passed::Blind),
            }
        }
        Ok(Passed::Done(pass))
    }

    /// Begins a walk over the sockets of a namespace: that in which it is begun, wherever it is read. `None` if
    /// the namespace is gone.
    fn open(&mut self, namespace: &Namespace) -> Result<Option<File>> {
        self.listening.set(0, [0; PORT_WORDS], 0)?;
        let program = program(&mut self.ebpf)?;
        let link = program.attach()?;
        let link = program.take_link(link)?;
        let sockets = namespaces::inside(namespace, || link.into_file())?;
        sockets.transpose().context("cannot create the iterator")
    }
}

/// How far a walk came.
enum Walked {
    All,
    Left,
    Blind,
}

fn read_all(mut sockets: File, each: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Walked> {
    // The kernel goes on only as far as this has room: nothing is changed long before `each` hears of it.
    let mut buffer = [0; BATCH * SWEPT_BYTES];
    loop {
        let length = match sockets.read(&mut buffer) {
            Ok(0) => return Ok(Walked::All),
            Ok(length) => length,
            // After a million sockets of others.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (records, rest) = buffer[..length].as_chunks();
        let swept: Option<Vec<Swept>> = records.iter().map(Swept::from_bytes).collect();
        let swept = swept.filter(|_| rest.is_empty()).context("the program wrote what it never writes")?;
        for swept in &swept {
            if swept.outcome == Outcome::ArmBlind {
                return Ok(Walked::Blind);
            }
            if each(swept).is_break() {
                return Ok(Walked::Left);
            }
        }
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter> {
    let program = ebpf
        .program_mut(SWEEP_PROGRAM)
        .ok_or_else(|| anyhow!("the object holds no program {SWEEP_PROGRAM}"))?;
    Ok(program.try_into()?)
}

fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map> {
    ebpf.take_map(name).ok_or_else(|| anyhow!("the object holds no map {name}"))
}
