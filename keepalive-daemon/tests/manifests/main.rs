//! What is in `deploy/` and the README, compared with what the program needs: its arguments and variables, paths,
//! capabilities, policies and kernels.
//!
//! The tests that render manifests need kubectl, and those of alerts promtool. `cargo xtask test` fetches them and runs
//! these tests; a plain `cargo test` leaves them out, and says so.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up, or fails, panics")]

mod command_line;
mod daemon_set;
mod kernels;
mod monitoring;
mod objects;
mod policies;
mod readme;
mod render;
mod systemd;

use std::{fs, path::PathBuf};

/// The directory of everything that is deployed.
fn deploy() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).unwrap()
}

/// The text of a file below `deploy/`.
fn text(path: &str) -> String {
    let path = deploy().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
