//! What is compared: each in a cgroup of its own, with something attached while it is measured, or none.

use std::ffi::OsStr;

use anyhow::Result;

use crate::{
    bench::{
        kernel::{Attached, Hook, Program},
        worker::{End, Took, Work, Worker},
    },
    lab::Cgroup,
};

/// By what the libraries to preload know the values, and where they know them from.
pub(super) fn preloaded(library: &OsStr) -> Vec<(&'static str, &OsStr)> {
    let mut environment = vec![("LD_PRELOAD", library)];
    for (name, value) in [
        ("KEEPIDLE", "60"),
        ("KEEPINTVL", "15"),
        ("KEEPCNT", "4"),
        ("DD_TCP_KEEPALIVE_TIME", "60"),
        ("DD_TCP_KEEPALIVE_INTVL", "15"),
        ("DD_TCP_KEEPALIVE_PROBES", "4"),
    ] {
        environment.push((name, OsStr::new(value)));
    }
    environment
}

/// Which hook a program goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    SockOps,
    Setsockopt,
    Tracepoint,
}

/// Something that is compared.
pub(super) struct Variant<'a> {
    pub(super) name: String,
    pub(super) cgroup: &'a Cgroup,
    pub(super) programs: Vec<(&'a Program, Place)>,
    /// What the ends of its connections have.
    pub(super) expected: End,
    pub(super) worker: Worker,
}

impl Variant<'_> {
    /// Makes sure that the ends of its connections have what they should.
    pub(super) fn check(&mut self) -> Result<()> {
        let _attached = self.attach()?;
        self.worker.check(&self.name, self.expected)
    }

    /// Makes so many connections with everything attached, and nothing else.
    pub(super) fn run(&mut self, count: u32) -> Result<Took> {
        let _attached = self.attach()?;
        self.worker.run(Work::Short, count)
    }

    fn attach(&self) -> Result<Vec<Attached>> {
        let attach = |(program, place): &(&Program, Place)| {
            program.attach(match place {
                Place::SockOps => Hook::SockOps(self.cgroup),
                Place::Setsockopt => Hook::Setsockopt(self.cgroup),
                Place::Tracepoint => Hook::Tracepoint,
            })
        };
        self.programs.iter().map(attach).collect()
    }
}
