//! A process that makes short connections when it is told to.

use std::{ffi::OsStr, path::Path};

use anyhow::{Context as _, Result, ensure};

use crate::lab::{Cgroup, InCgroup as _, Netns, Process};

/// What getsockopt says of one end: `SO_KEEPALIVE`, and the idle time, interval and probes.
pub(super) type End = [u32; 4];

/// What some connections took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Took {
    /// Of the CPU, in nanoseconds a connection.
    pub(super) cpu_ns: f64,
    /// By the clock, likewise.
    pub(super) wall_ns: f64,
}

/// How a worker connects.
pub(super) struct Way<'a> {
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
        Ok(Self(Process::spawn("what makes short connections", command)?))
    }

    /// Makes so many connections.
    pub(super) fn run(&mut self, count: u32) -> Result<Took> {
        let [cpu_ns, wall_ns]: [f64; 2] = self.ask(&format!("run {count}"))?;
        Ok(Took { cpu_ns: cpu_ns / f64::from(count), wall_ns: wall_ns / f64::from(count) })
    }

    /// What the ends of a connection have, the client's and the server's.
    pub(super) fn look(&mut self) -> Result<[End; 2]> {
        let [a, b, c, d, e, f, g, h] = self.ask("look")?;
        Ok([[a, b, c, d], [e, f, g, h]])
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

/// The least that must be so before anything is measured: that both ends have what they are said to have.
pub(super) fn check(worker: &mut Worker, name: &str, expected: End) -> Result<()> {
    let ends = worker.look()?;
    ensure!(
        ends == [expected; 2],
        "{name}: the ends of a connection have {ends:?}, and should have {expected:?}"
    );
    Ok(())
}
