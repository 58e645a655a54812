//! Many open connections, held by several processes, of which one is an application that asks and answers meanwhile.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{Resource, getrlimit};

use crate::{
    bench::Bench,
    lab::{Cgroup, InCgroup as _, Netns, Process},
};

/// What a process needs descriptors for beside connections.
const SPARE: u64 = 100;

/// What one holds at most: the ports of an address suffice for no more connections.
const MOST: u64 = 40_000;

/// How many ends the application has, which take turns.
const PINGED: u32 = 256;

/// How long an application waited for answers, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Stalls {
    pub(in crate::bench) longest: f64,
    /// 999 of 1000 were no longer.
    pub(in crate::bench) p999: f64,
}

/// The processes, which end when this is dropped.
pub(in crate::bench) struct Crowd<'a> {
    program: PathBuf,
    netns: &'a Netns,
    cgroup: &'a Cgroup,
    application: Process,
    holders: Vec<Process>,
    /// How many ends each may hold.
    share: u32,
    /// How many all do.
    size: u32,
}

impl<'a> Crowd<'a> {
    /// Of the application alone.
    pub(in crate::bench) fn new(bench: &Bench, netns: &'a Netns, cgroup: &'a Cgroup) -> Result<Self> {
        let program = bench.tools.program("holder", include_str!("holder.c"))?;
        let (_, limit) =
            getrlimit(Resource::RLIMIT_NOFILE).context("cannot tell how many files may be open")?;
        let share = u32::try_from(limit.saturating_sub(SPARE).min(MOST) & !1)?;
        ensure!(share > PINGED, "no more than {limit} files may be open: raise the limit");
        let mut application = start(&program, netns, cgroup)?;
        ask(&mut application, &format!("open {PINGED}"))?;
        Ok(Self { program, netns, cgroup, application, holders: Vec::new(), share, size: PINGED })
    }

    /// Opens connections until there are so many ends.
    pub(in crate::bench) fn grow_to(&mut self, size: u32) -> Result<()> {
        let mut left = size - PINGED;
        for index in 0.. {
            let wanted = left.min(self.share);
            if wanted == 0 {
                break;
            }
            if index >= self.holders.len() {
                self.holders.push(start(&self.program, self.netns, self.cgroup)?);
            }
            ask(&mut self.holders[index], &format!("open {wanted}"))?;
            left -= wanted;
        }
        self.size = size;
        Ok(())
    }

    /// Takes keep-alive from all connections.
    pub(in crate::bench) fn disarm(&mut self) -> Result<()> {
        self.ask_all("reset").map(drop)
    }

    /// Makes sure that all connections have keep-alive, by what getsockopt tells.
    pub(in crate::bench) fn check_armed(&mut self, by: &str) -> Result<()> {
        let (armed, size) = (self.ask_all("armed")?, self.size);
        if armed != size {
            let closed = self.ask_all("closed")?;
            bail!(
                "{by} left {} of {size} ends of connections without keep-alive; the kernel has closed {closed}",
                size - armed
            );
        }
        Ok(())
    }

    /// Has the application ask and answer while something else is done; tells how long it waited for answers.
    pub(in crate::bench) fn stalls<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<Stalls> {
        // Longer than anything takes; it ends with the next line.
        let mark = self.application.mark();
        self.application.say("ping 60000")?;
        let done = work();
        self.application.say("enough")?;
        let line = self.application.wait_line_from(mark, " ")?;
        done?;
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        match numbers[..] {
            [longest, p999, ..] => Ok(Stalls { longest: longest / 1e6, p999: p999 / 1e6 }),
            _ => bail!("the application printed {line:?}"),
        }
    }

    /// Has all do something, beside each other; the sum of what they answer.
    fn ask_all(&mut self, what: &str) -> Result<u32> {
        let mut asked = Vec::new();
        for process in self.holders.iter_mut().chain([&mut self.application]) {
            let mark = process.mark();
            process.say(what)?;
            asked.push((process, mark));
        }
        asked.into_iter().map(|(process, mark)| answer(process, mark, what)).sum()
    }
}

fn start(program: &PathBuf, netns: &Netns, cgroup: &Cgroup) -> Result<Process> {
    let mut command: Command = netns.command(program);
    command.in_cgroup(cgroup);
    Process::spawn("a process that holds connections", command)
}

fn ask(process: &mut Process, what: &str) -> Result<u32> {
    let mark = process.mark();
    process.say(what)?;
    answer(process, mark, what)
}

/// A line of the first word and a number.
fn answer(process: &Process, mark: usize, what: &str) -> Result<u32> {
    let verb = what.split_whitespace().next().unwrap_or_default();
    let line = process.wait_line_from(mark, verb)?;
    let number = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    number.with_context(|| format!("to {what:?} a process that holds connections answers {line:?}"))
}
