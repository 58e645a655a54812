//! What is printed here, compared with what a document shows.

/// What stands for something that is left out, whole lines if it stands alone.
const LEFT_OUT: char = '…';

/// What is called otherwise here than in the document: paths and numbers.
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// By what is here, in the order in which they are looked for.
    pub(super) fn new(names: &[(&str, &str)]) -> Self {
        Self(names.iter().map(|(here, there)| ((*here).to_owned(), (*there).to_owned())).collect())
    }

    /// A command of the document as it has to be given here.
    pub(super) fn as_here(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (here, there)| replace(&text, there, here))
    }

    /// What is printed here as the document would show it.
    pub(super) fn as_documented(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (here, there)| replace(&text, here, there))
    }
}

/// Replaces a text where it is no part of a longer word or number.
fn replace(text: &str, from: &str, to: &str) -> String {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let before_it = before.chars().next_back().or_else(|| replaced.chars().next_back());
        let is_part = is_word(before_it) && is_word(from.chars().next()) || is_word(after.chars().next());
        replaced.push_str(before);
        replaced.push_str(if is_part { from } else { to });
        rest = after;
    }
    replaced + rest
}

/// The first line shown that is not among the lines printed, in their order; `None` if all are. Lines between two that
/// are shown must be left out explicitly.
pub(super) fn mismatch(shown: &[String], printed: &str) -> Option<String> {
    let mut printed = printed.lines().map(plain).filter(|line| !line.is_empty()).peekable();
    let mut may_skip = false;
    for line in shown {
        if line.trim() == LEFT_OUT.to_string() {
            may_skip = true;
            continue;
        }
        let wanted = plain(line);
        let found = if may_skip {
            printed.any(|line| matches(&wanted, &line))
        } else {
            printed.next().is_some_and(|line| matches(&wanted, &line))
        };
        if !found {
            return Some(wanted);
        }
        may_skip = false;
    }
    let rest = printed.next().filter(|_| !may_skip);
    rest.map(|line| format!("that nothing else is printed, such as {line:?}"))
}

/// A line without what depends on widths and on the time that has passed.
fn plain(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.split_once("(keepalive,") {
        Some((before, timer)) => {
            let after = timer.split_once(',').map_or("", |(_, after)| after);
            format!("{before}(keepalive,,{after}")
        }
        None => line,
    }
}

/// Whether a line is what is wanted, apart from what is left out of that.
fn matches(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split(LEFT_OUT).map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut is_whole = true;
    for part in parts {
        is_whole = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || is_whole && wanted.contains(LEFT_OUT)
}
