//! Every target over its corpus: examples, and all that was ever found.
#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::*;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.expect("it is listed").file_name().to_string_lossy().into_owned()).collect()
}

/// The inputs of a target's corpus.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpora().join(name);
    let paths = names(&folder).into_iter().map(|input| folder.join(input));
    let inputs: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).expect("it is listed"))).collect();
    assert!(!inputs.is_empty(), "{name} has no examples");
    inputs
}

/// Runs a target; if it fails, says over what, which is all that whoever mends it needs.
fn run(name: &str, target: Target, bytes: &[u8], which: &str) {
    let stood = std::panic::catch_unwind(|| target(bytes));
    assert!(stood.is_ok(), "{name} fails over {which}: {:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn each_target_stands_its_corpus() {
    for (name, target) in TARGETS {
        for (path, bytes) in corpus(name) {
            run(name, target, &bytes, &path.display().to_string());
        }
    }
}

/// What libFuzzer does with far more patience, and knows where it leads: the same every time, so that a failure is no
/// surprise to whoever comes next. `KEEPALIVE_FUZZ_ROUNDS` asks for more.
#[test]
fn each_target_stands_what_its_corpus_may_turn_into() {
    let rounds =
        std::env::var("KEEPALIVE_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
    for (name, target) in TARGETS {
        let mut random = fastrand::Rng::with_seed(6);
        let inputs = corpus(name);
        for round in 0..rounds {
            for (path, bytes) in &inputs {
                let (_, other) = &inputs[random.usize(..inputs.len())];
                let mutated = mutated(bytes, other, &mut random);
                run(name, target, &mutated, &format!("{} in round {round}", path.display()));
            }
        }
    }
}

/// Some bytes changed, put in, taken out, or taken from another input.
fn mutated(bytes: &[u8], other: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\n /:.-*?[]{},\"'&#~\\\x1b0a9";

    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..8)).min(bytes.len());
        match random.u8(..5) {
            0 => drop(bytes.splice(at..end, [random.u8(..)])),
            1 => bytes.insert(at, TELLING[random.usize(..TELLING.len())]),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..24)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            _ => bytes.extend_from_within(at..end),
        }
    }
    bytes
}

#[test]
fn each_target_stands_bytes_that_are_nothing() {
    for (_, target) in TARGETS {
        for length in [0, 1, 7, 64, 300] {
            for byte in [0, 0xff, b'a', b'{', b'[', b'\n'] {
                target(&vec![byte; length]);
            }
        }
    }
}

#[test]
fn each_target_has_a_program_and_a_corpus_and_nothing_else_has() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let programs = names(&corpora().with_file_name("fuzz_targets"));
    let programs: BTreeSet<String> =
        programs.iter().filter_map(|name| name.strip_suffix(".rs")).map(str::to_owned).collect();

    assert_eq!(programs, expected);
    assert_eq!(names(&corpora()), expected);
}
