//! The bare iterator: a program in C that sets the same options and does nothing else.

use std::{
    io::{ErrorKind, Read as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::{Btf, Ebpf, programs::Iter};

use crate::{bench::Bench, lab::Netns};

/// The loaded program.
pub(super) struct BareIterator(Ebpf);

impl BareIterator {
    pub(super) fn new(bench: &Bench) -> Result<Self> {
        let object = bench.tools.object("bare", include_str!("bare.bpf.c"))?;
        let mut loaded = Self(Ebpf::load_file(&object).context("cannot load the bare iterator")?);
        let types = Btf::from_sys_fs().context("cannot read the kernel's types")?;
        loaded.program()?.load("tcp", &types).context("the kernel does not accept the bare iterator")?;
        Ok(loaded)
    }

    /// Goes once over all sockets of a network namespace; returns how long it took.
    pub(super) fn walk(&mut self, netns: &Netns) -> Result<Duration> {
        let program = self.program()?;
        let link = program.attach()?;
        let link = program.take_link(link)?;
        netns.run(|| {
            let start = Instant::now();
            let mut file = link.into_file().context("cannot create the bare iterator")?;
            let mut buffer = [0; 64];
            loop {
                match file.read(&mut buffer) {
                    Ok(0) => return Ok(start.elapsed()),
                    Ok(_) => {}
                    // After a million sockets.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error).context("cannot read the bare iterator"),
                }
            }
        })?
    }

    fn program(&mut self) -> Result<&mut Iter> {
        Ok(self.0.program_mut("bare").context("the object holds no bare iterator")?.try_into()?)
    }
}
