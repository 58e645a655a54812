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

#[test]
fn each_target_stands_its_corpus() {
    for (name, target) in TARGETS {
        let corpus = corpora().join(name);
        let inputs = names(&corpus);
        assert!(!inputs.is_empty(), "{name} has no examples");
        for input in inputs {
            let path = corpus.join(input);
            let bytes = fs::read(&path).expect("it is listed");
            // The name of what fails is the one line that whoever sees it needs.
            let stood = std::panic::catch_unwind(|| target(&bytes));
            assert!(stood.is_ok(), "{name} fails over {}", path.display());
        }
    }
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
