//! The program with which bpftune tunes connections, out of its package: it counts them by their other end, asks to be
//! called when their state changes, and chooses how they deal with congestion.

use std::{env, fs, path::PathBuf, process::Command};

use super::{
    twins::{Twin, expected},
    workload::play,
};
use crate::support::{
    UNTOUCHED, bpftool,
    foreign::{Foreign, Way},
};

/// How often the application does what it does.
const TIMES: usize = 5;

pub(super) fn bpftunes_own_program_does_the_same_with_and_without_a_policy() {
    let tuner = env::var("KEEPALIVE_BPFTUNE").expect("`cargo xtask test` sets KEEPALIVE_BPFTUNE");
    let objects = objects(&fs::read(&tuner).unwrap());
    let bare = Twin::new("bpftune-bare");
    let counted = counted(&bare, &objects, UNTOUCHED);
    let connections: u64 = counted.iter().sum();
    assert!(connections >= u64::try_from(2 * TIMES).unwrap(), "both ends of each: {counted:?}");

    for mode in ["Monitor", "Tighten", "Enforce"] {
        let twin = Twin::new("bpftune");
        twin.govern(mode);
        let _daemon = twin.host.start();

        assert_eq!(self::counted(&twin, &objects, expected(mode)), counted, "{mode}");
    }
}

/// Has the program run above an application; returns how many connections it counted, by their other end.
fn counted(twin: &Twin, objects: &[Vec<u8>], owned: crate::peer::Options) -> Vec<u64> {
    let program = Foreign::pinned(&load(twin, objects));
    let _attachment = program.attach(&twin.cgroups[0], Way::Multi).unwrap();
    for _ in 0..TIMES {
        let seen = play(&twin.host, &twin.cgroups[2]);
        assert_eq!(seen.owned, [owned; 2]);
    }
    let map = twin.host.bpffs.path().join("tuner-maps/remote_host_map");
    let hosts = bpftool(["map", "dump", "pinned", map.to_str().unwrap()]);
    let mut counted: Vec<u64> = hosts
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["formatted"]["value"]["instances"].as_u64().unwrap())
        .collect();
    counted.sort_unstable();
    counted
}

/// Pins the program, of the first object that this kernel takes: there is one for each of several kinds of kernels.
fn load(twin: &Twin, objects: &[Vec<u8>]) -> PathBuf {
    let bpffs = twin.host.bpffs.path();
    let (programs, maps) = (bpffs.join("tuner"), bpffs.join("tuner-maps"));
    let mut complaints = Vec::new();
    for object in objects {
        let file = twin.host.directory().join("tuner.o");
        fs::write(&file, object).unwrap();
        let mut command = Command::new("bpftool");
        command.args(["prog", "loadall"]).args([&file, &programs]).arg("pinmaps").arg(&maps);
        let loaded = command.output().unwrap();
        if loaded.status.success() {
            return programs.join("conn_tuner_sockops");
        }
        complaints.push(String::from_utf8_lossy(&loaded.stderr).into_owned());
    }
    panic!("the kernel takes none of bpftune's programs: {complaints:#?}");
}

/// The eBPF objects that a library has in it.
fn objects(library: &[u8]) -> Vec<Vec<u8>> {
    const MAGIC: &[u8] = b"\x7fELF";
    /// Where the header of a 64-bit object has these.
    const MACHINE: usize = 18;
    const SECTIONS: usize = 40;
    const SECTION_SIZE: usize = 58;
    const SECTION_COUNT: usize = 60;
    const BPF: u16 = 247;
    let half = |at: usize| u16::from_le_bytes(library[at..at + 2].try_into().unwrap());
    let begins = (1..library.len() - 64).filter(|at| library[*at..].starts_with(MAGIC));
    let objects = begins.filter(|at| half(at + MACHINE) == BPF).map(|at| {
        let sections = u64::from_le_bytes(library[at + SECTIONS..at + SECTIONS + 8].try_into().unwrap());
        // The table of sections is the last of it.
        let table = usize::from(half(at + SECTION_SIZE)) * usize::from(half(at + SECTION_COUNT));
        library[at..at + usize::try_from(sections).unwrap() + table].to_vec()
    });
    let objects: Vec<_> = objects.collect();
    assert!(!objects.is_empty(), "the tuner has no eBPF program in it");
    objects
}
