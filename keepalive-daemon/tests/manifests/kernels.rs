//! What the documents say of kernels: made of `tests/facts`, which the kernel tests compare with what they find. With
//! `KEEPALIVE_UPDATE=1` in the environment they are made anew.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use keepalive_daemon::{features::Feature, policy::KernelVersion};
use serde_json::Value;

/// What is known of each line of kernels.
fn facts() -> BTreeMap<KernelVersion, Value> {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "facts"].iter().collect();
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let line = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            (line, serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect()
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A table with a column for each line of kernels, and one after them.
fn table(
    first: &str,
    last: Option<&str>,
    facts: &BTreeMap<KernelVersion, Value>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let lines = facts.keys().map(ToString::to_string);
    let titles: Vec<String> =
        [first.to_owned()].into_iter().chain(lines).chain(last.map(str::to_owned)).collect();
    let rule = format!("|{}\n", "---|".repeat(titles.len()));
    let rows: String = rows.into_iter().map(row).collect();
    row(titles) + &rule + &rows
}

fn features(facts: &BTreeMap<KernelVersion, Value>) -> String {
    let rows = Feature::ALL.map(|feature| {
        let has = facts.values().map(|facts| match facts["features"][feature.name()].as_bool() {
            Some(true) => "yes".to_owned(),
            Some(false) => "\u{2013}".to_owned(),
            None => panic!("nothing is known of {}", feature.name()),
        });
        let since = match feature.built_with() {
            Some(option) => format!("{}, built with `{option}`", feature.since()),
            None => feature.since().to_string(),
        };
        let mut cells = vec![feature.name().to_owned()];
        cells.extend(has);
        cells.push(format!("since {since}. Without: {}", feature.without()));
        cells
    });
    table("Linux", Some("since when, and what there is without it"), facts, rows)
}

fn programs(facts: &BTreeMap<KernelVersion, Value>) -> String {
    let newest = facts.values().next_back().unwrap();
    let names = newest["programs"].as_object().unwrap().keys();
    let rows = names.map(|name| {
        let cell = |facts: &Value| {
            let program = &facts["programs"][name];
            let number = |of: &str| program[of].as_u64();
            match (number("verified"), number("stack"), number("jitedBytes"), number("verificationUs")) {
                (Some(verified), Some(stack), Some(code), Some(us)) => {
                    format!("{verified} / {stack} / {code} / {}.{}", us / 1000, us % 1000 / 100)
                }
                _ => format!("refused: {}", program["refused"].as_str().unwrap()),
            }
        };
        [format!("`{name}`")].into_iter().chain(facts.values().map(cell)).collect()
    });
    table("program", None, facts, rows)
}

/// Compares what stands between two comments of a document with what is made of the facts, or puts it there.
fn keep(document: &str, name: &str, made: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", document].iter().collect();
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no {begin} in {document}"));
    let (kept, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end} in {document}"));
    if env::var_os("KEEPALIVE_UPDATE").is_some() {
        fs::write(&path, format!("{before}{begin}{made}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(kept, made, "{document} is not of the facts: make it again with KEEPALIVE_UPDATE=1");
}

#[test]
fn the_readme_says_which_kernel_has_what() {
    keep("README.md", "features", &features(&facts()));
}

#[test]
fn what_the_verifier_did_is_told_of_each_kernel() {
    keep("keepalive-ebpf/verifier.md", "programs", &programs(&facts()));
}

#[test]
fn a_kernel_has_what_came_before_it_unless_it_is_built_without() {
    for (line, facts) in facts() {
        for feature in Feature::ALL {
            let has = facts["features"][feature.name()] == true;
            let expected = feature.since() <= line;
            let may_lack = feature.built_with().is_some();
            assert!(has == expected || !has && may_lack, "Linux {line}, {}: {has}", feature.name());
        }
    }
}
