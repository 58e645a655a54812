//! Programs that the kernel runs for each TCP socket of a network namespace (`iter/tcp`), and what they tell.

use std::{
    fs::File,
    io::{self, Read as _},
};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Btf, Ebpf,
    maps::Map,
    programs::{Iter, iter::IterLink},
};

use super::{
    object::{rejected, take_any_map},
    waiting,
};
use crate::{policy::KernelVersion, this_kernel};

/// A loaded program, with the maps it uses.
pub(super) struct SocketProgram {
    ebpf: Ebpf,
    name: &'static str,
}

impl SocketProgram {
    /// Loads the program of this name.
    ///
    /// # Errors
    /// If the kernel or the privileges do not suffice.
    pub(super) fn load(ebpf: Ebpf, name: &'static str) -> Result<Self> {
        let mut program = Self { ebpf, name };
        let types = Btf::from_sys_fs().context("cannot read the kernel's types")?;
        program.program()?.load("tcp", &types).map_err(|error| rejected(&error)).with_context(|| {
            format!(
                "the kernel does not accept the program {name} (it needs Linux 6.1, CAP_BPF and CAP_PERFMON)"
            )
        })?;
        Ok(program)
    }

    /// Takes one of its maps out, which it goes on to use.
    ///
    /// # Errors
    /// If there is none of this name.
    pub(super) fn take_map(&mut self, name: &str) -> Result<Map> {
        take_any_map(&mut self.ebpf, name)
    }

    /// What [`begin`] makes a walk of.
    ///
    /// # Errors
    /// If the kernel refuses what it allowed before.
    pub(super) fn link(&mut self) -> Result<IterLink> {
        let program = self.program()?;
        let link = program.attach()?;
        Ok(program.take_link(link)?)
    }

    fn program(&mut self) -> Result<&mut Iter> {
        let name = self.name;
        let program =
            self.ebpf.program_mut(name).ok_or_else(|| anyhow!("the object holds no program {name}"))?;
        Ok(program.try_into()?)
    }
}

/// Begins a walk over the sockets of the network namespace of the calling thread, wherever it is read.
///
/// # Errors
/// If the kernel refuses what it allowed before.
pub(super) fn begin(link: IterLink) -> Result<File> {
    link.into_file().context("cannot create the iterator")
}

/// Whether a walk may leave connections out. Until 6.17 (commit "bpf: tcp: Avoid socket skips and repeats during
/// iteration") the kernel goes from the table of listeners to that of connections with the number of the bucket after the
/// last listener's, which is 0 where nobody listens, and passes over the first bucket that has connections if its number is
/// the same (`tcp_seek_last_pos`): in every walk. Where a distribution has mended an older kernel, looking for what was left
/// out is in vain, and no more.
pub(super) fn may_skip() -> bool {
    const MENDED: KernelVersion = KernelVersion::new(6, 17);
    this_kernel::release().is_none_or(|release| release < MENDED)
}

/// Goes on with a walk, as far as the buffer has room: the records that were told, none at its end.
///
/// # Errors
/// If it fails, or what was told are no records.
pub(super) fn read<'a, const N: usize>(walk: &mut File, buffer: &'a mut [u8]) -> Result<&'a [[u8; N]]> {
    let length = loop {
        match waiting::wait(|| walk.read(buffer)) {
            Ok(length) => break length,
            // After a million sockets of which there is nothing to tell.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
    };
    match buffer[..length].as_chunks() {
        (records, []) => Ok(records),
        _ => Err(anyhow!("the program wrote what it never writes")),
    }
}
