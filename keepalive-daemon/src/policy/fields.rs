//! Reading a tree field by field, noting every mistake on the way.

use std::collections::{HashMap, hash_map::Entry};

use super::diagnostic::{Diagnostic, Fault, did_you_mean, quote, shortened};
use super::document::{Node, Position, Value};

/// The mistakes found in a file so far.
pub(super) struct Report<'f> {
    file: &'f str,
    found: usize,
    diagnostics: Vec<Diagnostic>,
}

impl<'f> Report<'f> {
    /// Nobody reads on after this many; a hostile file could hold a million.
    const MOST: usize = 100;

    pub(super) fn new(file: &'f str) -> Self {
        Self { file, found: 0, diagnostics: Vec::new() }
    }

    pub(super) fn file(&self) -> &'f str {
        self.file
    }

    /// How many mistakes were noted.
    pub(super) fn found(&self) -> usize {
        self.found
    }

    pub(super) fn note(&mut self, at: Position, field: &str, fault: Fault) {
        self.found += 1;
        if self.found > Self::MOST {
            return;
        }
        let Fault { message, help } = fault;
        self.diagnostics.push(Diagnostic {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            message,
            help,
        });
    }

    /// The mistakes in the order of the text.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|d| (d.line, d.column));
        if self.found > Self::MOST {
            let more = format!("{} more mistakes follow", self.found - Self::MOST);
            let help = Fault::new(more, "mend those above first");
            self.diagnostics.push(Diagnostic::of_file(self.file, help));
        }
        self.diagnostics
    }
}

/// A value, with its path for messages.
#[derive(Clone, Debug)]
pub(super) struct Field<'d> {
    path: String,
    /// Where to point when something is missing in it: its key.
    key_at: Position,
    node: &'d Node,
}

impl<'d> Field<'d> {
    /// A whole document; its path is empty.
    pub(super) fn document(node: &'d Node) -> Self {
        Self { path: String::new(), key_at: node.at, node }
    }

    pub(super) fn at(&self) -> Position {
        self.node.at
    }

    pub(super) fn value(&self) -> &'d Value {
        &self.node.value
    }

    /// Notes a mistake in this value.
    pub(super) fn note(&self, fault: Fault, report: &mut Report<'_>) {
        report.note(self.node.at, &self.path, fault);
    }

    /// Notes a mistake in the name of this value.
    pub(super) fn note_name(&self, fault: Fault, report: &mut Report<'_>) {
        report.note(self.key_at, &self.path, fault);
    }

    /// Notes that the value is of the wrong type.
    pub(super) fn note_type(&self, needed: &str, help: impl Into<String>, report: &mut Report<'_>) {
        let fault = match &self.node.value {
            Value::Null => Fault::new("there is no value", format!("{}, or remove the line", help.into())),
            value => Fault::new(format!("{needed} is needed, this is {}", value.describe()), help),
        };
        self.note(fault, report);
    }

    /// Notes that the field `name` of this mapping is not there, with an example to write.
    pub(super) fn note_missing(&self, name: &str, example: &str, report: &mut Report<'_>) {
        let fault = Fault::new(format!("`{name}` is missing"), format!("add `{example}`"));
        report.note(self.key_at, &self.path, fault);
    }

    /// The value of a result; its mistake is noted.
    pub(super) fn accept<T>(&self, result: Result<T, Fault>, report: &mut Report<'_>) -> Option<T> {
        result.map_err(|fault| self.note(fault, report)).ok()
    }

    pub(super) fn text(&self, help: &str, report: &mut Report<'_>) -> Option<&'d str> {
        match &self.node.value {
            Value::Text(text) => return Some(text),
            Value::Integer(_) | Value::Number(_) | Value::Bool(_) => {
                self.note_type("a text", format!("put it in quotes, or {help}"), report);
            }
            _ => self.note_type("a text", help, report),
        }
        None
    }

    pub(super) fn integer(&self, help: &str, report: &mut Report<'_>) -> Option<i64> {
        match &self.node.value {
            Value::Integer(number) => return Some(*number),
            Value::Text(text) if text.parse::<i64>().is_ok() => {
                self.note_type("a whole number", format!("write {text}, without quotes"), report);
            }
            _ => self.note_type("a whole number", help, report),
        }
        None
    }

    pub(super) fn boolean(&self, help: &str, report: &mut Report<'_>) -> Option<bool> {
        if let Value::Bool(value) = &self.node.value {
            return Some(*value);
        }
        self.note_type("`true` or `false`", help, report);
        None
    }

    /// One of `choices`, by name.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let one_of = format!("write one of {}", list(&names));
        let text = self.text(&one_of, report)?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let help = format!("{one_of}{}", did_you_mean(text, &names));
            self.note(Fault::new(format!("{} is not known", quote(text)), help), report);
        }
        chosen
    }

    pub(super) fn items(&self, help: &str, report: &mut Report<'_>) -> Option<Vec<Field<'d>>> {
        let Value::List(items) = &self.node.value else {
            self.note_type("a list", help, report);
            return None;
        };
        let path = |index| format!("{}[{index}]", self.path);
        Some(
            items
                .iter()
                .enumerate()
                .map(|(i, node)| Field { path: path(i), key_at: node.at, node })
                .collect(),
        )
    }

    /// The field `name` of a mapping, if this is one; nothing is noted.
    pub(super) fn peek(&self, name: &str) -> Option<Field<'d>> {
        let Value::Mapping(entries) = &self.node.value else { return None };
        let (key, node) =
            entries.iter().find(|(key, _)| matches!(&key.value, Value::Text(given) if given == name))?;
        Some(Field { path: self.path_of(name), key_at: key.at, node })
    }

    fn path_of(&self, name: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.path, shortened(name))
    }

    /// The fields of a mapping; unknown and repeated ones are noted.
    pub(super) fn fields(&self, known: &[&str], report: &mut Report<'_>) -> Option<Fields<'d>> {
        self.fields_but(known, |_| None, report)
    }

    /// As [`Self::fields`]; `misplaced` says of a field that is not known here what is to be said of it, if
    /// there is more to say than that.
    pub(super) fn fields_but(
        &self,
        known: &[&str],
        misplaced: impl Fn(&str) -> Option<Fault>,
        report: &mut Report<'_>,
    ) -> Option<Fields<'d>> {
        let entries = self.entries(&format!("the fields are {}", list(known)), report)?;
        let mut fields = Fields { owner: self.clone(), entries: Vec::new() };
        for (name, field) in entries {
            if known.contains(&name) {
                fields.entries.push((name, field));
                continue;
            }
            let fault = misplaced(name).unwrap_or_else(|| {
                let help = format!("the fields are {}{}", list(known), did_you_mean(name, known));
                Fault::new(format!("{} is not known here", quote(name)), help)
            });
            field.note_name(fault, report);
        }
        Some(fields)
    }

    /// The entries of a mapping, whatever their names; repeated ones are noted and left out.
    pub(super) fn entries(&self, help: &str, report: &mut Report<'_>) -> Option<Vec<(&'d str, Field<'d>)>> {
        let Value::Mapping(given) = &self.node.value else {
            self.note_type("a mapping", help, report);
            return None;
        };
        let mut entries = Vec::with_capacity(given.len());
        let mut lines: HashMap<&str, u64> = HashMap::with_capacity(given.len());
        for (key, node) in given {
            let Value::Text(name) = &key.value else {
                let message = format!("the name of a field is a text, this is {}", key.value.describe());
                report.note(key.at, &self.path, Fault::new(message, help));
                continue;
            };
            let field = Field { path: self.path_of(name), key_at: key.at, node };
            match lines.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(key.at.line);
                    entries.push((name.as_str(), field));
                }
                Entry::Occupied(first) => {
                    let message = format!("{} is given twice, first in line {}", quote(name), first.get());
                    field.note_name(Fault::new(message, "keep one of them"), report);
                }
            }
        }
        Some(entries)
    }
}

/// The fields of a mapping.
pub(super) struct Fields<'d> {
    owner: Field<'d>,
    entries: Vec<(&'d str, Field<'d>)>,
}

impl<'d> Fields<'d> {
    pub(super) fn optional(&self, name: &str) -> Option<&Field<'d>> {
        self.entries.iter().find(|(given, _)| *given == name).map(|(_, field)| field)
    }

    /// A field that must be there; that it is not is noted, with an example to write.
    pub(super) fn required(&self, name: &str, example: &str, report: &mut Report<'_>) -> Option<&Field<'d>> {
        let field = self.optional(name);
        if field.is_none() {
            self.owner.note_missing(name, example, report);
        }
        field
    }

    /// Notes a mistake in the mapping as a whole, at its key.
    pub(super) fn note(&self, fault: Fault, report: &mut Report<'_>) {
        report.note(self.owner.key_at, &self.owner.path, fault);
    }

    /// Notes a mistake in `field`, or in the mapping itself if the field is not there.
    pub(super) fn note_in(&self, field: Option<&Field<'_>>, fault: Fault, report: &mut Report<'_>) {
        match field {
            Some(field) => field.note(fault, report),
            None => self.note(fault, report),
        }
    }
}

fn list(names: &[&str]) -> String {
    names.join(", ")
}
