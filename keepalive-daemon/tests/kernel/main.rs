//! The tests that need root and a kernel; `cargo xtask test` runs them.
//!
//! Each makes a host of its own ([`support::Host`]): a cgroup subtree that the daemon takes for the whole
//! hierarchy, a bpffs, a network namespace. What it asserts is read back from the kernel: options by
//! `getsockopt`, timers by sock_diag (`ss`), links and programs by `bpftool`, probes by a capture.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up, or fails, panics")]

mod api;
mod bugtool;
mod check;
mod destinations;
mod enforce;
mod events;
mod exec;
mod foreign;
mod guard;
mod helped;
mod hostile;
mod lifecycle;
mod machine;
mod metrics;
mod modes;
mod nesting;
mod options;
mod others;
mod peer;
mod pictures;
mod pods;
mod reload;
mod sockets;
mod spread;
mod story;
mod support;
mod surroundings;
mod sweep;
mod top;
mod tree;
mod upgrade;
mod verbs;
mod walk;

use std::path::Path;

use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{SigHandler, Signal, signal};

/// What makes this program a [`peer`] instead of the tests.
const PEER: &str = "peer";

/// What makes this program what runs [`pods::inside`] containers.
const INSIDE: &str = "inside";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [PEER] => return peer::serve(),
        [INSIDE, path] => return pods::inside::serve(Path::new(path)),
        _ => {}
    }
    let arguments = Arguments::from_args();
    // A shell has what it starts in the background ignore interrupts, and nohup hang-ups; so would all that is started
    // here.
    for ignored in [Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: no handler is installed, and no other thread runs yet.
        unsafe { signal(ignored, SigHandler::SigDfl) }.unwrap();
    }
    let trials = [
        &api::ALL.concat(),
        bugtool::TESTS,
        check::TESTS,
        destinations::TESTS,
        enforce::TESTS,
        events::TESTS,
        exec::TESTS,
        foreign::TESTS,
        guard::TESTS,
        helped::TESTS,
        &hostile::ALL.concat(),
        lifecycle::TESTS,
        metrics::TESTS,
        modes::TESTS,
        nesting::TESTS,
        options::TESTS,
        others::TESTS,
        pictures::TESTS,
        &pods::TESTS.concat(),
        reload::TESTS,
        sockets::TESTS,
        spread::TESTS,
        story::TESTS,
        surroundings::TESTS,
        sweep::TESTS,
        top::TESTS,
        tree::TESTS,
        &machine::tests(),
        upgrade::TESTS,
        verbs::TESTS,
        walk::TESTS,
    ]
    .concat();
    let trials = trials.iter().map(|(name, test)| {
        let test = *test;
        let trial = Trial::test(*name, move || {
            test();
            Ok(())
        });
        trial.with_ignored_flag(true)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// A test by its name.
type Test = (&'static str, fn());

/// Lists the tests of a module by the names of their functions.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[$crate::Test] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}
