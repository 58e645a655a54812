//! What was measured on.

use std::{fs, thread};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::process;

/// The machine, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Of the world's time, as `2026-11-21`.
    pub(super) date: String,
}

impl Machine {
    /// This one, now.
    pub(super) fn here() -> Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot ask for the kernel")?;
        Ok(Self {
            processor: processor(&processors),
            cores: thread::available_parallelism().context("cannot count the cores")?.get(),
            kernel: kernel.trim().to_owned(),
            date: process::output(std::process::Command::new("date").args(["--utc", "+%F"]))?
                .trim()
                .to_owned(),
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, kernel, date } = self;
        write!(f, "{processor}, {cores} cores, Linux {kernel}, {date}")
    }
}

/// As x86 names it; others often do not.
fn processor(cpuinfo: &str) -> String {
    let names = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut models = names.filter(|(name, _)| name.trim() == "model name");
    models.next().map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_or_its_architecture() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\n"), "Some CPU @ 2.00GHz");
        assert_eq!(processor("processor\t: 0\n"), std::env::consts::ARCH);
    }
}
