//! The claims of `deploy/README.md`, and that each has a test.

use std::{collections::BTreeSet, fs, process::Command};

/// The rows of the tables below the heading of the section, without the rules under their heads.
fn rows() -> Vec<String> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/README.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("Security\n"));
    let section = section.expect("there is a section on security");
    let claims = section.split("\n### ").find(|part| part.starts_with("What an attacker can do\n"));
    let rows = claims.expect("it has claims").lines().filter(|line| line.starts_with("| "));
    // What is repeated of the heads names no test, and claims nothing.
    rows.filter(|row| !row.starts_with("| who, ")).map(str::to_owned).collect()
}

/// What is between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

pub(super) fn each_claim_has_a_test_that_there_is() {
    let listed =
        Command::new(std::env::current_exe().unwrap()).args(["--list", "--ignored"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let there: BTreeSet<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    assert!(there.contains("kernel::security::each_claim_has_a_test_that_there_is"), "{listed}");

    let rows = rows();
    let mut named = BTreeSet::new();
    for row in &rows {
        let last = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
        let tests: Vec<String> = quoted(last).map(|name| format!("kernel::{name}")).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        named.extend(tests);
    }

    assert!(rows.len() >= 20, "{rows:#?}");
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "named, and not there: {missing:#?}");
    let own = "kernel::security::";
    let untold: Vec<_> = there
        .iter()
        .filter(|name| name.starts_with(own) && !name.ends_with("::each_claim_has_a_test_that_there_is"))
        .filter(|name| !named.contains(**name))
        .collect();
    assert!(untold.is_empty(), "there, and claimed nowhere: {untold:#?}");
}
