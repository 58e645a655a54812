//! The sweep: what policies do to the connections that are open already.

pub(super) mod descriptors;
pub(super) mod diag;
mod iterator;
pub(super) mod namespaces;
mod targets;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Result;
use keepalive_ebpf::Swept;

pub(crate) use descriptors::{Running, sweep_process};
pub(crate) use namespaces::{InNamespace, in_every_namespace};
pub(crate) use targets::Targets;

use self::{
    descriptors::Descriptors,
    iterator::{Passed, SocketIterator},
};
use super::{features::lacking, iteration::may_skip, memory_limit::MemoryLimit, pins::Pins};
use crate::features::Feature;

/// How far a sweep may be ahead of what it tells.
const BATCH: usize = 16;

/// By what a sweep gets at connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The program `sweep`, which the kernel runs for each socket.
    Iterator,
    /// The descriptors of the processes that hold the sockets, for kernels whose iterators cannot get at them.
    Descriptors,
}

/// What a pass saw besides the connections.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// The network namespaces that were looked through.
    pub(crate) namespaces: usize,
    /// Those that were not, and why.
    pub(crate) unreachable: Vec<(String, String)>,
    /// Connections of targets that the method cannot reach: nobody has accepted them yet.
    pub(crate) pending: usize,
}

/// What sweeps. It waits for applications that hold a socket's lock, so it is for a thread of its own.
pub(crate) struct Sweeper {
    bpffs: PathBuf,
    reach: Reach,
    /// Whether another method may take the place of the one that fails.
    may_change: bool,
    _memory_limit: MemoryLimit,
}

enum Reach {
    /// With what is for connections that it leaves out, where it may.
    Iterator(Box<SocketIterator>, Option<Box<Descriptors>>),
    Descriptors(Box<Descriptors>),
}

impl Sweeper {
    /// Loads what this kernel and these privileges allow, or `only` what is asked for. Shares marks and rules with the
    /// daemon whose pins are under `bpffs`; what is to be swept is in `targets`.
    ///
    /// # Errors
    /// If no method can do anything here; says why of each.
    pub(crate) fn load(bpffs: &Path, only: Option<Method>, targets: &Targets) -> Result<Self> {
        let memory_limit = MemoryLimit::raise();
        let mut reach = match only {
            Some(Method::Iterator) => load_iterator(bpffs, targets)?,
            Some(Method::Descriptors) => Reach::Descriptors(Box::new(Descriptors::load(bpffs)?)),
            None => load_iterator(bpffs, targets).or_else(|error| instead(bpffs, &error))?,
        };
        if let Reach::Iterator(_, rest) = &mut reach
            && may_skip()
        {
            *rest = Some(Box::new(Descriptors::load(bpffs)?));
        }
        let (bpffs, may_change) = (bpffs.to_owned(), only.is_none());
        Ok(Self { bpffs, reach, may_change, _memory_limit: memory_limit })
    }

    /// Loads the program that the kernel runs for each socket, or nothing; shares nothing with a daemon.
    ///
    /// # Errors
    /// If it can do nothing here.
    pub(super) fn load_private(targets: &Targets) -> Result<Self> {
        let memory_limit = MemoryLimit::raise();
        let reach = Reach::Iterator(Box::new(SocketIterator::load(None, targets)?), None);
        Ok(Self { bpffs: PathBuf::new(), reach, may_change: false, _memory_limit: memory_limit })
    }

    /// The method in use; a pass may change it.
    pub(crate) const fn method(&self) -> Method {
        match self.reach {
            Reach::Iterator(..) => Method::Iterator,
            Reach::Descriptors(_) => Method::Descriptors,
        }
    }

    /// Goes once over the open connections of all network namespaces of the node, and does to those of the targets, from
    /// [`Targets::begin`] on, what these say. `each` hears of every connection right after it was treated, of at
    /// most 16 some moments later; it may sleep, and end the pass.
    ///
    /// # Errors
    /// If the kernel refuses what it allowed before. A namespace that cannot be entered is none.
    pub(crate) fn pass(
        &mut self,
        targets: &Targets,
        each: &mut dyn FnMut(&Swept) -> ControlFlow<()>,
    ) -> Result<Pass> {
        match &mut self.reach {
            Reach::Iterator(iterator, rest) => match walk(iterator, rest.as_deref_mut(), targets, each)? {
                Passed::Done(pass) => return Ok(pass),
                Passed::Blind => {
                    let what = "its programs cannot read options: this kernel does not let them";
                    let error = anyhow::anyhow!(lacking(what, Feature::Sweep));
                    if !self.may_change {
                        return Err(error);
                    }
                    self.reach = instead(&self.bpffs, &error)?;
                }
            },
            Reach::Descriptors(descriptors) => return descriptors.pass(targets, None, each),
        }
        self.pass(targets, each)
    }
}

/// A pass by the iterator, and by descriptors over what was open before and it left out. Of that, what no descriptor is had
/// of is out of reach, and was before: it does not make a pass of all others one that is to be made again.
fn walk(
    iterator: &mut SocketIterator,
    rest: Option<&mut Descriptors>,
    targets: &Targets,
    each: &mut dyn FnMut(&Swept) -> ControlFlow<()>,
) -> Result<Passed> {
    let Some(rest) = rest else { return iterator.pass(each) };
    let mut left = rest.open(targets)?;
    let mut is_ended = false;
    let passed = iterator.pass(&mut |swept| {
        left.remove(&swept.cookie);
        let flow = each(swept);
        is_ended |= flow.is_break();
        flow
    })?;
    if matches!(passed, Passed::Done(_)) && !left.is_empty() && !is_ended {
        rest.pass(targets, Some(&left), each)?;
    }
    Ok(passed)
}

fn load_iterator(bpffs: &Path, targets: &Targets) -> Result<Reach> {
    Ok(Reach::Iterator(Box::new(SocketIterator::load(Some(&Pins::new(bpffs)?), targets)?), None))
}

/// The other method, and a word on why.
fn instead(bpffs: &Path, error: &anyhow::Error) -> Result<Reach> {
    let descriptors = Descriptors::load(bpffs).map_err(|second| {
        second.context(format!("the kernel's iterator over sockets cannot be used: {error:#}"))
    })?;
    tracing::info!(
        reason = format!("{error:#}"),
        "open connections are reached by the descriptors of their processes: the kernel's iterator over sockets \
         cannot be used"
    );
    Ok(Reach::Descriptors(Box::new(descriptors)))
}
