//! What is compiled when it is needed: programs in C for the kernel and for the host.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{
    lab::{TEST_PREFIX, scratch},
    process,
    setup::BenchTools,
};

/// Compilers, libraries to preload, and where what is compiled lies until this is dropped.
pub(super) struct Tools {
    pub(super) compared: BenchTools,
    directory: TempDir,
}

impl Tools {
    pub(super) fn new(compared: BenchTools) -> Result<Self> {
        Ok(Self { compared, directory: scratch(TEST_PREFIX, "bench")? })
    }

    /// A program of the host, linked to the C library as most are, so that libraries can be preloaded.
    pub(super) fn program(&self, name: &str, source: &str) -> Result<PathBuf> {
        self.compile(name, "", source, Command::new("cc").args(["-O2", "-pthread"]))
    }

    /// An object for the kernel.
    pub(super) fn object(&self, name: &str, source: &str) -> Result<PathBuf> {
        let mut command = Command::new("clang");
        command.args(["-O2", "-g", "-target", "bpf", "-c"]);
        // Where Debian keeps what of the kernel's headers differs by architecture.
        command.arg(format!("-I/usr/include/{}-linux-gnu", env::consts::ARCH));
        self.compile(name, ".bpf.o", source, &mut command)
    }

    fn compile(&self, name: &str, suffix: &str, source: &str, command: &mut Command) -> Result<PathBuf> {
        let directory = self.directory.path();
        let (file, made) = (directory.join(format!("{name}.c")), directory.join(format!("{name}{suffix}")));
        fs::write(&file, source).with_context(|| format!("cannot write {}", file.display()))?;
        process::output(command.args(["-Wall", "-Werror", "-o"]).arg(&made).arg(&file))?;
        Ok(made)
    }
}
