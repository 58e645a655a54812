//! The catalogue of middleboxes: data, with its sources.

use serde::Deserialize;
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::Middlebox;

/// What is known without a file.
const BUILT_IN: &str = include_str!("catalogue.yaml");

/// Why a catalogue cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CatalogueError(String);

/// Middleboxes by their id.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue(Vec<Entry>);

/// A middlebox of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) profiles: Vec<String>,
    /// Whether it is taken for granted where one of its profiles is chosen.
    #[serde(default = "yes")]
    pub(crate) assumed: bool,
    pub(crate) name: String,
    pub(crate) idle_timeout_seconds: u32,
    pub(crate) range: String,
    pub(crate) on_expiry: String,
    pub(crate) keep_alive_helps: Helps,
    pub(crate) source: String,
    pub(crate) checked: String,
}

/// Whether keep-alive helps against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Helps {
    Yes,
    No,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    middleboxes: Vec<Spanned<Entry>>,
}

const fn yes() -> bool {
    true
}

impl Catalogue {
    /// The built-in one.
    ///
    /// # Errors
    /// None, as its tests see to it.
    pub(crate) fn built_in() -> Result<Self, CatalogueError> {
        Ok(Self(read("the built-in catalogue", BUILT_IN)?))
    }

    /// The same with the entries of a file: one with an id that is there already takes its place.
    ///
    /// # Errors
    /// If the text is no catalogue; says where.
    pub(crate) fn with(mut self, file: &str, text: &str) -> Result<Self, CatalogueError> {
        for entry in read(file, text)? {
            match self.0.iter_mut().find(|known| known.id == entry.id) {
                Some(known) => *known = entry,
                None => self.0.push(entry),
            }
        }
        Ok(self)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }
}

impl Entry {
    pub(crate) fn middlebox(&self) -> Middlebox {
        Middlebox {
            name: self.name.clone(),
            idle_timeout_seconds: self.idle_timeout_seconds,
            keep_alive_helps: self.keep_alive_helps == Helps::Yes,
            on_expiry: self.on_expiry.clone(),
            source: format!("{} ({}), as of {}", self.source, self.range, self.checked),
        }
    }
}

fn read(file: &str, text: &str) -> Result<Vec<Entry>, CatalogueError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    let File { middleboxes } = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| CatalogueError(format!("{file}: {error}")))?;
    let mut entries: Vec<Entry> = Vec::with_capacity(middleboxes.len());
    for Spanned { value: entry, defined, .. } in middleboxes {
        if let Some(fault) = fault(&entry, &entries) {
            return Err(CatalogueError(format!("{file}:{}: {fault}", defined.line())));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// What is wrong with an entry that has all its fields.
fn fault(entry: &Entry, before: &[Entry]) -> Option<String> {
    let Entry { id, profiles, name, idle_timeout_seconds, range, on_expiry, source, checked, .. } = entry;
    if let Some(wrong) = profiles.iter().chain([id]).find(|word| !is_word(word)) {
        return Some(format!("{wrong:?} is not a name: use small letters, digits and hyphens"));
    }
    if before.iter().any(|other| other.id == *id) {
        return Some(format!("the id {id} is there twice; give each middlebox one of its own"));
    }
    if *idle_timeout_seconds == 0 {
        return Some(format!("{id}: idleTimeoutSeconds is 0; leave out what forgets nothing"));
    }
    let texts = [("name", name), ("range", range), ("onExpiry", on_expiry), ("source", source)];
    if let Some((field, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
        return Some(format!("{id}: {field} is empty"));
    }
    (!is_date(checked)).then(|| format!("{id}: {checked:?} is not a day; write it as 2026-11-21"))
}

/// Whether the command line can take it: in a list, separated by commas.
fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text != super::profile::AUTO && text.chars().all(is_plain)
}

fn is_date(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_digit() || c == '-';
    text.chars().all(is_plain) && humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).is_ok()
}

#[cfg(test)]
mod tests;
