//! The sweep by the program `sweep`, which the kernel runs for each TCP socket of a network namespace.

use std::{fs::File, ops::ControlFlow, path::PathBuf};

use anyhow::{Context as _, Result};
use aya::{
    EbpfLoader,
    maps::{Array, HashMap, MapData},
};
use keepalive_ebpf::{
    CLAIMS_MAP, COUNTERS_MAP, DESTINATIONS_MAP, LISTENING_MAP, OFFSETS, Outcome, POLICY_MAP, SWEEP_PROGRAM,
    SWEPT_BYTES, Swept, TARGETS_MAP,
};

use super::{
    super::{
        iteration::{self, SocketProgram},
        object::{CLOSING_MAPS, LOG_MAP, OBJECT, drop_maps, shrink},
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
    program: SocketProgram,
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
    pub(super) fn load(pins: Option<&Pins>, targets: &Targets) -> Result<Self> {
        let offsets = offsets::find()?.to_words();
        let shared = pins.map_or(Ok(Vec::new()), shared_maps)?;
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
        let mut program = SocketProgram::load(ebpf, SWEEP_PROGRAM)?;
        targets.show(HashMap::try_from(program.take_map(TARGETS_MAP)?)?);
        let listening = Array::try_from(program.take_map(LISTENING_MAP)?)?;
        Ok(Self { program, listening })
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
        let link = self.program.link()?;
        namespaces::inside(namespace, || iteration::begin(link))?.transpose()
    }
}

/// The maps of a daemon that the program works with, as far as they are pinned, and where.
fn shared_maps(pins: &Pins) -> Result<Vec<(&'static str, PathBuf)>> {
    storage::check_pinned_maps(pins)?;
    let mut shared = Vec::new();
    for name in [CLAIMS_MAP, DESTINATIONS_MAP] {
        let path = pins.map(name);
        if exists(&path)? {
            shared.push((name, path));
        }
    }
    Ok(shared)
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
        let records = iteration::read(&mut sockets, &mut buffer)?;
        if records.is_empty() {
            return Ok(Walked::All);
        }
        let swept: Option<Vec<Swept>> = records.iter().map(Swept::from_bytes).collect();
        let swept = swept.context("the program wrote what it never writes")?;
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
