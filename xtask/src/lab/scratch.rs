//! Directories for what is too large to be left behind.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::unique;

/// Where they are made: on a disk, while other places for temporary files may be memory.
pub(crate) const SCRATCH: &str = "/var/tmp";

/// Makes a directory whose name tells its maker, so that `cargo xtask clean-host` finds it; removed when dropped.
///
/// # Errors
/// When `/var/tmp` cannot be written to.
pub fn scratch(prefix: &str, label: &str) -> Result<TempDir> {
    let name = unique(prefix, label, |name| Path::new(SCRATCH).join(name).exists());
    tempfile::Builder::new()
        .prefix(&name)
        .rand_bytes(0)
        .tempdir_in(SCRATCH)
        .with_context(|| format!("making {SCRATCH}/{name}"))
}
