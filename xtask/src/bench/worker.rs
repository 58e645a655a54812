//! A process that makes connections when it is told to.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::tools::Tools;

use crate::lab::{Cgroup, InCgroup as _, Netns, Process};

/// What getsockopt says of one end: `SO_KEEPALIVE`, and the idle time, interval and probes.
pub(super) type End = [u32; 4];

/// What the ends of a connection have that nobody did anything to: the kernel's own.
pub(super) const UNTOUCHED: End = [0, 7200, 75, 9];

/// What policies, libraries and calls give them here.
pub(super) const ARMED: End = [1, 60, 15, 4];

/// What it can do again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A connection with a byte there and one back.
    Short,
    /// On one connection, a byte there and one back.
    Echo,
    /// On one connection, [`BULK_BYTES`] there.
    Bulk,
}

/// What goes over a connection at a time, if it is much.
pub(super) const BULK_BYTES: u32 = 65_536;

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Echo => "echo",
            Self::Bulk => "bulk",
        }
    }
}

/// Compiles what a worker runs.
pub(super) fn compile(tools: &Tools) -> Result<PathBuf> {
    tools.program("peer", include_str!("worker/peer.c"))
}

/// What it took to do something once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Took {
    /// Of the CPU, in nanoseconds.
    pub(super) cpu_ns: f64,
    /// By the clock, likewise.
    pub(super) wall_ns: f64,
}

/// How a worker connects.
pub(super) struct Way<'a> {
    /// See [`compile`].
    pub(super) program: &'a Path,
    pub(super) cgroup: &'a Cgroup,
    pub(super) netns: &'a Netns,
    /// The namespace that listens, if it is another, and the address there.
    pub(super) server: Option<&'a Netns>,
    pub(super) address: &'a str,
    /// Who asks for keep-alive by calls of its own, as the program has it.
    pub(super) calls: &'static str,
    pub(super) environment: &'a [(&'static str, &'a OsStr)],
}

/// The parent's end of such a process.
pub(super) struct Worker(Process);

impl Worker {
    pub(super) fn start(way: &Way<'_>) -> Result<Self> {
        let mut command = way.netns.command(way.program);
        let server = way.server.map_or_else(|| "-".into(), Netns::path);
        command.arg(way.address).arg(server).arg(way.calls).in_cgroup(way.cgroup);
        command.envs(way.environment.iter().copied());
        Ok(Self(Process::spawn("what makes connections", command)?))
    }

    /// Does something so many times.
    pub(super) fn run(&mut self, work: Work, count: u32) -> Result<Took> {
        self.time(&format!("{} {count}", work.name()), count)
    }

    /// The same, each end asking for keep-alive by calls of its own.
    pub(super) fn run_armed(&mut self, work: Work, count: u32) -> Result<Took> {
        self.time(&format!("armed {} {count}", work.name()), count)
    }

    fn time(&mut self, what: &str, count: u32) -> Result<Took> {
        let [cpu_ns, wall_ns]: [f64; 2] = self.ask(what)?;
        Ok(Took { cpu_ns: cpu_ns / f64::from(count), wall_ns: wall_ns / f64::from(count) })
    }

    /// Makes sure that both ends of a connection have what they should.
    pub(super) fn check(&mut self, name: &str, expected: End) -> Result<()> {
        self.compare("look", name, expected)
    }

    /// The same, each end asking for keep-alive by calls of its own.
    pub(super) fn check_armed(&mut self, name: &str) -> Result<()> {
        self.compare("armed look", name, ARMED)
    }

    fn compare(&mut self, look: &str, name: &str, expected: End) -> Result<()> {
        let [a, b, c, d, e, f, g, h]: [u32; 8] = self.ask(look)?;
        let ends = [[a, b, c, d], [e, f, g, h]];
        ensure!(
            ends == [expected; 2],
            "{name}: the ends of a connection have {ends:?}, and should have {expected:?}"
        );
        Ok(())
    }

    /// Has it do something, and reads the numbers that it answers with.
    fn ask<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>, const N: usize>(
        &mut self,
        what: &str,
    ) -> Result<[T; N]> {
        let mark = self.0.mark();
        self.0.say(what)?;
        let line = self.0.wait_line_from(mark, " ")?;
        let numbers: Result<Vec<T>, _> = line.split_whitespace().map(str::parse).collect();
        let numbers = numbers.with_context(|| format!("{line:?} are no numbers"))?;
        let count = numbers.len();
        numbers.try_into().ok().with_context(|| format!("{count} numbers in answer to `{what}`: {line:?}"))
    }
}
