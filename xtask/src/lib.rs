//! The verbs of `cargo xtask`, one module each, with its `Options` and its `run`; and [`lab`], what the demo
//! and the tests with root stand on.

pub mod bench;
pub mod build;
pub mod clean_host;
mod columns;
pub mod console;
pub mod demo;
pub mod failures;
mod files;
pub mod fuzz;
pub mod image;
pub mod lab;
pub mod lint;
pub mod process;
pub mod run;
pub mod seccomp;
pub mod setup;
pub mod soak;
mod stop;
pub mod test;
pub mod vm;
pub mod workspace;
