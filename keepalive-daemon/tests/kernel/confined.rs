//! The way into what the documents give the daemon: this program becomes another with no more capabilities than the base
//! manifest adds, no new privileges, and the seccomp profile that is shipped.
//!
//! As a runtime or systemd does it, and read from the files that those read, so that the tests run under what is
//! deployed. A call that is not in the profile ends the program here, where it only fails once deployed: none that is
//! missing goes unnoticed.

mod filter;
mod profile;

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::Command,
};

use nix::sys::{
    prctl,
    resource::{RLIM_INFINITY, Resource, setrlimit},
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use serde_json::Value;

pub(crate) use profile::Profile;

/// What makes the program of the tests this one.
pub(crate) const CONFINED: &str = "confined";

/// Where it is recorded what is called, if it is: one file a program, written by strace.
const RECORD: &str = "KEEPALIVE_RECORD_CALLS";

/// What becomes of a call that the profile does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unlisted {
    /// It ends the program.
    Kills,
    /// It fails as the profile says.
    Fails,
    /// It is done: for what starts programs that the profile is not for.
    IsDone,
}

impl Unlisted {
    const ALL: [(Self, &str); 3] = [(Self::Kills, "kills"), (Self::Fails, "fails"), (Self::IsDone, "done")];
}

/// A command that runs `program` with what the documents give it.
pub(crate) fn confined(program: impl AsRef<OsStr>, unlisted: Unlisted) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let (_, word) = Unlisted::ALL[unlisted as usize];
    command.args([CONFINED, word]).arg(program);
    command
}

/// The capabilities that the base manifest adds.
pub(crate) fn documented() -> CapabilitySet {
    let base = fs::read_to_string(deploy("kubernetes/base/daemon-set.yaml")).unwrap();
    let base: Value = serde_saphyr::from_str(&base).unwrap();
    let context = &base["spec"]["template"]["spec"]["containers"][0]["securityContext"];
    assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]));
    let added = context["capabilities"]["add"].as_array().unwrap().iter();
    added.map(|name| CapabilitySet::from_name(name.as_str().unwrap()).unwrap()).collect()
}

/// A file below `deploy/`.
fn deploy(path: &str) -> impl AsRef<Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

/// Becomes the program.
///
/// # Panics
/// If that is not possible.
pub(crate) fn enter(words: &[OsString]) -> ! {
    let [word, program, arguments @ ..] = words else { panic!("confined: HOW PROGRAM ARGUMENT…") };
    let (unlisted, _) = Unlisted::ALL.into_iter().find(|(_, it)| word == it).unwrap();
    // As the service has it: before Linux 5.11 maps count as locked memory. Later it need not succeed.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    prctl::set_no_new_privs().unwrap();
    keep(documented());
    let mut command = match std::env::var_os(RECORD) {
        Some(directory) => recorded(Path::new(&directory)),
        None => {
            match unlisted {
                Unlisted::Kills => filter::install(&Profile::shipped(), libc::SECCOMP_RET_KILL_PROCESS),
                Unlisted::Fails => Profile::shipped().install(),
                Unlisted::IsDone => {}
            }
            Command::new(program)
        }
    };
    if command.get_program() != program.as_os_str() {
        command.arg(program);
    }
    let error = command.args(arguments).exec();
    panic!("cannot run {}: {error}", Path::new(program).display());
}

/// strace, that writes which calls a program makes, and is neither its parent nor in its way when it is killed.
fn recorded(directory: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["--daemonize", "--follow-forks", "--quiet=all", "--signal=none"]);
    strace.arg("--output").arg(directory.join(std::process::id().to_string())).arg("--");
    strace
}

/// Gives up all other capabilities in each of the sets. What the calling process has not is not needed for that.
fn keep(documented: CapabilitySet) {
    for capability in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        if !documented.contains(capability) && capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability).unwrap();
        }
    }
    clear_ambient_capability_set().unwrap();
    let kept = capabilities(None).unwrap().permitted.intersection(documented);
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable }).unwrap();
}
