//! What is wrong, where, and what to do about it.

use std::{error, fmt};

use serde::Serialize;

/// A mistake in a file.
///
/// Displayed as `file:line:column: field: message` and a second line `  help: …`; the parts that do not apply
/// are left out. All text is safe to print: what came from the file has its control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, as its reader named it.
    pub file: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// The column in characters, from 1; 0 when the whole file is meant.
    pub column: u64,
    /// The dotted path of the field, such as `spec.keepalive.idle`; empty when the mistake is not about one.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What would be valid, or what to do.
    pub help: String,
}

impl Diagnostic {
    /// A mistake that concerns a file as a whole.
    pub(super) fn of_file(file: &str, fault: Fault) -> Self {
        let Fault { message, help } = fault;
        Self { file: file.to_owned(), line: 0, column: 0, field: String::new(), message, help }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", printable(&self.file))?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}\n  help: {}", self.message, self.help)
    }
}

impl error::Error for Diagnostic {}

/// A mistake in a value, without the place the value came from: a file or a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What would be valid, or what to do.
    pub help: String,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.help)
    }
}

impl error::Error for Fault {}

/// `text` between backticks, cut where it stops being informative.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", shortened(text))
}

/// The first few of `texts`, each as [`quote`] shows it.
pub(super) fn quote_some<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    const MOST: usize = 3;
    let mut texts = texts.into_iter();
    let mut shown: Vec<_> = texts.by_ref().take(MOST).map(quote).collect();
    if texts.next().is_some() {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

/// `text` safe to print, cut where it stops being informative.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    let shown = printable(&text.chars().take(LONGEST).collect::<String>());
    let rest = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("{shown}{rest}")
}

/// `text` without anything that a terminal or a log would act on. Backslashes stay as they are: the names of
/// systemd's units are full of them.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

/// `. Did you mean …?` if one of `known` looks like a slip away from `given`, else nothing.
pub(super) fn did_you_mean(given: &str, known: &[&str]) -> String {
    const SLIPS: usize = 2;
    // Nobody's slip is this much longer than a name, and comparing takes time by the square.
    const LONGEST: usize = 64;
    if given.len() > LONGEST {
        return String::new();
    }
    let given = given.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::osa_distance(&given, &name.to_lowercase()), name))
        .filter(|(slips, name)| *slips <= SLIPS && *slips < name.len())
        .min()
        .map_or_else(String::new, |(_, name)| format!(". Did you mean `{name}`?"))
}
