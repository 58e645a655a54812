//! The table of the goals and the plot, in the README of this project.

use std::fs;

use anyhow::{Context as _, Result};

use super::{plot, report::Report};
use crate::{console, workspace};

const DOCUMENT: &str = "README.md";
const PICTURE: &str = "deploy/pictures/bench.svg";

/// Between what the table stands.
const BEGIN: &str = "<!-- bench -->\n";
const END: &str = "<!-- /bench -->";

/// Writes both.
pub(super) fn write(report: &Report) -> Result<()> {
    let root = workspace::root();
    plot::draw(&root.join(PICTURE), report)?;
    let document = root.join(DOCUMENT);
    let text =
        fs::read_to_string(&document).with_context(|| format!("cannot read {}", document.display()))?;
    let text = with_section(&text, &section(report))
        .with_context(|| format!("{} has no {} and {END}", document.display(), BEGIN.trim_end()))?;
    fs::write(&document, text).with_context(|| format!("cannot write {}", document.display()))?;
    console::progress(format_args!("{DOCUMENT} and {PICTURE} are of this run"));
    Ok(())
}

fn section(report: &Report) -> String {
    let quick = if report.quick { ", with `--quick`" } else { "" };
    format!(
        "{}\nBy `cargo xtask bench`{quick} on {}.\n\n![What a short connection costs with each alternative]({PICTURE})\n",
        report.goals_for_document(),
        report.machine
    )
}

/// The text with another section; nothing if there is no place for it.
fn with_section(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{section}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");

        assert_eq!(with_section(&text, "new\n").as_deref(), Some(&*format!("a\n{BEGIN}new\n{END}\nb\n")));
        assert_eq!(with_section("a\n", "new\n"), None);
    }

    #[test]
    fn the_readme_has_a_place_for_the_table() {
        let text = fs::read_to_string(workspace::root().join(DOCUMENT)).unwrap_or_default();

        assert!(with_section(&text, "").is_some());
    }
}
