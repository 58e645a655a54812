//! The order of files: what lies where, how long it is, and that it is finished.

use std::{
    fs,
    path::{Component, Path},
};

use anyhow::{Context as _, Result, bail};

use crate::{process, workspace};

/// What the root shows; entries that begin with a dot are free.
const TOP_LEVEL: [&str; 7] =
    ["Cargo.lock", "Cargo.toml", "README.md", "deploy", "keepalive-daemon", "keepalive-ebpf", "xtask"];

/// The length at which a source file has to be split, in lines.
const MAX_LINES: usize = 400;

/// What marks work that was put off; in two parts, so that this file does not contain it.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Checks all files that git has or would add.
pub(super) fn check() -> Result<()> {
    let mut command = std::process::Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let list = process::output(command.current_dir(workspace::root()))?;

    let mut faults = Vec::new();
    // What was removed but not yet committed is in the list and not on disk.
    for name in list.split_terminator('\0').filter(|name| workspace::root().join(name).is_file()) {
        let path = workspace::root().join(name);
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        faults.extend(place_fault(Path::new(name)));
        if let Ok(text) = std::str::from_utf8(&content) {
            faults.extend(text_faults(Path::new(name), text));
            if name.ends_with(".md") {
                faults.extend(
                    dead_links(&path, text)
                        .map(|link| format!("{name} links to {link}, which does not exist")),
                );
            }
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

fn place_fault(name: &Path) -> Option<String> {
    let Some(Component::Normal(top)) = name.components().next() else { return None };
    let top = top.to_string_lossy();
    let is_allowed = top.starts_with('.') || TOP_LEVEL.contains(&top.as_ref());
    (!is_allowed).then(|| format!("{top} may not lie at the top level"))
}

fn text_faults(name: &Path, text: &str) -> Vec<String> {
    let name_shown = name.display();
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if name.extension().is_some_and(|extension| extension == "rs") && lines > MAX_LINES {
        faults.push(format!("{name_shown} has {lines} lines, more than {MAX_LINES}"));
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(mark) = UNFINISHED.iter().find(|mark| has_word(line, mark)) {
            faults.push(format!("{name_shown}:{} says {mark}", number + 1));
        }
    }
    faults
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// The links of a document that lead to no file.
fn dead_links<'a>(document: &'a Path, text: &'a str) -> impl Iterator<Item = &'a str> {
    relative_links(text).filter(|link| {
        let file = link.split('#').next().unwrap_or(link);
        !document.parent().is_some_and(|folder| folder.join(file).exists())
    })
}

/// The targets of a document's links that are files and not web addresses or headings.
fn relative_links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    targets.filter(|target| {
        !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_entries_and_those_with_a_dot_lie_at_the_top() {
        for good in ["Cargo.toml", "xtask/src/main.rs", ".ci/run"] {
            assert_eq!(place_fault(Path::new(good)), None, "{good}");
        }
        assert_eq!(place_fault(Path::new("docs/a.md")).as_deref(), Some("docs may not lie at the top level"));
    }

    #[test]
    fn a_source_file_may_have_400_lines_and_not_one_more() {
        let text = "x\n".repeat(400);

        assert!(text_faults(Path::new("a.rs"), &text).is_empty());
        assert_eq!(
            text_faults(Path::new("a.rs"), &(text.clone() + "x\n")),
            ["a.rs has 401 lines, more than 400"]
        );
        assert!(text_faults(Path::new("a.md"), &(text + "x\n")).is_empty());
    }

    #[test]
    fn work_that_was_put_off_is_found_with_its_line() {
        let text = format!("fine\n// {}: later\n", UNFINISHED[0]);

        assert_eq!(text_faults(Path::new("a.sh"), &text), [format!("a.sh:2 says {}", UNFINISHED[0])]);
        assert!(text_faults(Path::new("a.sh"), "TODOS AUTOFIXME").is_empty());
    }

    #[test]
    fn links_to_files_are_told_from_addresses_and_headings() {
        let text =
            "[a](deploy/README.md#x) [b](https://example.org) [c](#d) ![e](f.png \"g\") [h](mailto:i@j)";

        assert_eq!(relative_links(text).collect::<Vec<_>>(), ["deploy/README.md#x", "f.png"]);
    }

    #[test]
    fn a_link_is_followed_from_its_document() {
        let document = workspace::root().join("xtask/README.md");

        let dead: Vec<_> = dead_links(&document, "[a](src/lib.rs) [b](src/no-such.rs)").collect();

        assert_eq!(dead, ["src/no-such.rs"]);
    }
}
