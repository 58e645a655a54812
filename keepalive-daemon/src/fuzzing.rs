//! What others write, fed to what reads it: the targets of fuzzing.
//!
//! A daemon that is root on every node reads policies, annotations of pods, answers of the runtime, requests, pins and
//! files of the kernel, and must end by none of them. Each target takes any bytes, hands them to a reader, and asserts
//! what is true of whatever that makes of them; where it can, it compares with a model that anybody can check.
//!
//! libFuzzer looks for the bytes (`cargo xtask fuzz`; its programs are in `keepalive-daemon/fuzz`, one of a few lines
//! for each target). What it found, and examples to begin with, are in `fuzz/corpus` there, and a test here runs every
//! target over them. The module exists in these two builds only: the library's users do not see it.

mod annotations;
mod btf;
mod cgroups;
mod destinations;
mod draw;
mod globs;
mod pins;
mod policies;
mod proc;
mod requests;
mod runtime;
mod selectors;
mod sock_diag;

pub use annotations::annotations;
pub use btf::btf;
pub use cgroups::cgroups;
pub use destinations::destinations;
pub use globs::globs;
pub use pins::pins;
pub use policies::policies;
pub use proc::proc;
pub use requests::requests;
pub use runtime::{runtime, sandbox_info};
pub use selectors::selectors;
pub use sock_diag::sock_diag;

/// Something that takes any bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their programs and of the folders of their corpora.
pub const TARGETS: [(&str, Target); 13] = [
    ("annotations", annotations),
    ("btf", btf),
    ("cgroups", cgroups),
    ("destinations", destinations),
    ("globs", globs),
    ("pins", pins),
    ("policies", policies),
    ("proc", proc),
    ("requests", requests),
    ("runtime", runtime),
    ("sandbox_info", sandbox_info),
    ("selectors", selectors),
    ("sock_diag", sock_diag),
];

#[cfg(test)]
mod tests;
