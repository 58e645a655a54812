//! The options of connections, by the program `sockets`, which the kernel runs for each TCP socket of a network namespace.

use std::{
    fs::File,
    io::{self, Read as _},
};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    programs::{Iter, iter::IterLink},
};
use keepalive_ebpf::{OBSERVED_BYTES, Observed, SOCKETS_PROGRAM, Socket as _, SocketOption, TARGETS_MAP};

use crate::kernel::object::{LOG_MAP, OBJECT, page_size, rejected};

/// How many records are read at a time: the kernel has room for as many (eight pages).
const BATCH: usize = 1024;

/// The loaded program.
pub(super) struct Program(Ebpf);

impl Program {
    /// Loads it.
    ///
    /// # Errors
    /// If the kernel or the privileges do not suffice.
    pub(super) fn load() -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(LOG_MAP, page_size()?)
            .map_max_entries(TARGETS_MAP, 1)
            .load(OBJECT)
            .context("cannot create the eBPF maps (it needs CAP_BPF)")?;
        // All maps are of other programs.
        let names: Vec<String> = ebpf.maps().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            drop(ebpf.take_map(&name));
        }
        let types = aya::Btf::from_sys_fs().context("cannot read the kernel's types")?;
        program(&mut ebpf)?.load("tcp", &types).map_err(|error| rejected(&error)).with_context(|| {
            format!(
                "the kernel does not accept the program {SOCKETS_PROGRAM} (it needs Linux 5.15, CAP_BPF and CAP_PERFMON)"
            )
        })?;
        Ok(Self(ebpf))
    }

    /// What [`begin`] makes a walk of.
    ///
    /// # Errors
    /// If the kernel refuses what it allowed before.
    pub(super) fn link(&mut self) -> Result<IterLink> {
        let program = program(&mut self.0)?;
        let link = program.attach()?;
        Ok(program.take_link(link)?)
    }
}

/// Begins a walk over the sockets of the network namespace of the calling thread.
///
/// # Errors
/// If the kernel refuses what it allowed before.
pub(super) fn begin(link: IterLink) -> Result<File> {
    link.into_file().context("cannot create the iterator")
}

/// The options of the sockets of a network namespace, by their cookies.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Observed>);

impl Table {
    /// Makes a walk. `None` if this kernel does not let the program read options: before 6.1.
    ///
    /// # Errors
    /// If it fails before it is done.
    pub(super) fn read(mut walk: File) -> Result<Option<Self>> {
        let mut table = Vec::new();
        let mut buffer = vec![0; BATCH * OBSERVED_BYTES];
        loop {
            let length = match walk.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                // After a million sockets that are not whole.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
                {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (records, []) = buffer[..length].as_chunks() else {
                return Err(anyhow!("the program wrote what it never writes"));
            };
            table.extend(records.iter().map(Observed::from_bytes));
            if table.first().is_some_and(|first| first.get(SocketOption::Keepalive).is_none()) {
                return Ok(None);
            }
        }
        Ok(Some(Self::new(table)))
    }

    fn new(mut table: Vec<Observed>) -> Self {
        table.sort_unstable_by_key(|observed| observed.cookie);
        Self(table)
    }

    pub(super) fn get(&self, cookie: u64) -> Option<Observed> {
        let at = self.0.binary_search_by_key(&cookie, |observed| observed.cookie).ok()?;
        self.0.get(at).copied()
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter> {
    let program = ebpf
        .program_mut(SOCKETS_PROGRAM)
        .ok_or_else(|| anyhow!("the object holds no program {SOCKETS_PROGRAM}"))?;
    Ok(program.try_into()?)
}

#[cfg(test)]
mod tests {
    use keepalive_ebpf::Timers;

    use super::*;

    #[test]
    fn options_are_found_by_the_cookie_in_whatever_order_they_came() {
        let options = |cookie| Observed { cookie, timers: Timers::NONE, keepalive: 1, unused: 0 };
        let table = Table::new([9, 2, 7].map(options).to_vec());

        assert_eq!([2, 7, 9].map(|cookie| table.get(cookie)), [2, 7, 9].map(|cookie| Some(options(cookie))));
        assert_eq!(table.get(3), None);
    }
}
