//! The tests that need root and a kernel; `cargo xtask test` runs them.
//!
//! Each makes a host of its own ([`support::Host`]): a cgroup subtree that the daemon takes for the whole
//! hierarchy, a bpffs, a network namespace. What it asserts is read back from the kernel: options by
//! `getsockopt`, timers by sock_diag (`ss`), links and programs by `bpftool`, probes by a capture.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up, or fails, panics")]

mod api;
mod bugtool;
mod check;
mod confined;
mod crash;
mod destinations;
mod enforce;
mod events;
mod exec;
mod facts;
mod features;
mod foreign;
mod guard;
mod helped;
mod hostile;
mod lifecycle;
mod machine;
mod metrics;
mod modes;
mod needs;
mod nesting;
mod options;
mod others;
mod peer;
mod pictures;
mod pods;
mod privileges;
mod reload;
mod security;
mod soak;
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
mod verifier;
mod walk;

use std::{
    path::Path,
    sync::{PoisonError, RwLock},
};

use libtest_mimic::{Arguments, Completion, Trial};
use nix::sys::{
    resource::{RLIM_INFINITY, Resource, setrlimit},
    signal::{SigHandler, Signal, signal},
};

/// What makes this program a [`peer`] instead of the tests.
const PEER: &str = "peer";

/// What makes this program one that calls what the daemon never does.
const ATTEMPT: &str = "attempt";

/// Names of tests, or parts of them, with spaces between: the runner itself takes one.
const ONLY: &str = "KEEPALIVE_TESTS";

/// What makes this program what runs [`pods::inside`] containers.
const INSIDE: &str = "inside";

/// Tests that hold up every daemon of this host, and so what others wait for.
const ALONE: &str = "kernel::hostile::lock::";

/// Held by each test while it runs, and by those without the others.
static TURN: RwLock<()> = RwLock::new(());

fn main() {
    let mut raw = std::env::args_os().skip(1);
    if raw.next().is_some_and(|word| word == confined::CONFINED) {
        confined::enter(&raw.collect::<Vec<_>>());
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [PEER] => return peer::serve(),
        [ATTEMPT] => return privileges::attempt(),
        [xtask::soak::peer::VERB] => return xtask::soak::peer::serve().unwrap(),
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
    // Before Linux 5.11 what tests load themselves counts as locked memory of root, as does what the daemon loads. The
    // daemon has its limit from `confined`. Later it need not succeed.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let trials = [
        &api::ALL.concat(),
        bugtool::TESTS,
        check::TESTS,
        crash::TESTS,
        destinations::TESTS,
        enforce::TESTS,
        events::TESTS,
        exec::TESTS,
        features::TESTS,
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
        &privileges::ALL.concat(),
        reload::TESTS,
        security::TESTS,
        soak::TESTS,
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
        verifier::TESTS,
        walk::TESTS,
    ]
    .concat();
    let only = std::env::var(ONLY).ok();
    let is_wanted =
        |name: &str| only.as_ref().is_none_or(|only| only.split(' ').any(|part| name.contains(part)));
    let trials = trials.iter().filter(|(name, _)| is_wanted(name)).map(|(name, test)| {
        let (name, test) = (*name, *test);
        let trial = Trial::ignorable_test(name, move || {
            if let Some(feature) = needs::lacking(name) {
                return Ok(Completion::ignored_with(format_args!("needs {}", feature.name())));
            }
            if name.starts_with(ALONE) {
                let _turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
                test();
            } else {
                let _turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
                test();
            }
            Ok(Completion::Completed)
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
