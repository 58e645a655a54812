//! The options of connections, by the program `sockets`, which the kernel runs for each TCP socket of a network namespace.

use std::fs::File;

use anyhow::{Context as _, Result};
use aya::EbpfLoader;
use keepalive_ebpf::{OBSERVED_BYTES, Observed, SOCKETS_PROGRAM, Socket as _, SocketOption};

use crate::kernel::{
    iteration::{self, SocketProgram},
    object::{CLOSING_MAPS, LOG_MAP, OBJECT, SWEEP_MAPS, shrink},
};

/// How many records are read at a time: the kernel has room for as many (eight pages).
const BATCH: usize = 1024;

/// Loads the program.
///
/// # Errors
/// If the kernel or the privileges do not suffice.
pub(super) fn load() -> Result<SocketProgram> {
    let mut loader = EbpfLoader::new();
    shrink(&mut loader, &[LOG_MAP])?;
    shrink(&mut loader, &SWEEP_MAPS)?;
    shrink(&mut loader, &CLOSING_MAPS)?;
    let mut ebpf = loader.load(OBJECT).context("cannot create the eBPF maps (it needs CAP_BPF)")?;
    // All maps are of other programs.
    let names: Vec<String> = ebpf.maps().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        drop(ebpf.take_map(&name));
    }
    SocketProgram::load(ebpf, SOCKETS_PROGRAM)
}

/// Sees of the first connection in the network namespace of the calling thread whether the program can tell its options.
///
/// # Errors
/// If the program cannot be loaded, or there is no connection.
pub(in crate::kernel) fn tells_options() -> Result<bool> {
    let mut program = load()?;
    let mut walk = iteration::begin(program.link()?)?;
    // No room for another: the kernel goes no further.
    let mut buffer = [0; OBSERVED_BYTES];
    let records = iteration::read(&mut walk, &mut buffer).context("cannot walk the sockets")?;
    let first = records.first().map(Observed::from_bytes).context("the program found no connection")?;
    Ok(is_told(&first))
}

fn is_told(observed: &Observed) -> bool {
    observed.get(SocketOption::Keepalive).is_some()
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
            let records = iteration::read(&mut walk, &mut buffer)?;
            if records.is_empty() {
                break;
            }
            table.extend(records.iter().map(Observed::from_bytes));
            if table.first().is_some_and(|first| !is_told(first)) {
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
