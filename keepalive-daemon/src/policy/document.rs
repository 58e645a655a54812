//! YAML text as a tree that knows where each of its parts was written.
//!
//! The tree keeps what serde's derived types would drop or stop at: repeated keys, unknown keys, values of
//! the wrong type. So the reader of the tree can report them all, and by their full path.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::{
    DefaultMessageFormatter, DuplicateKeyPolicy, Error, ExternalMessageSource, Location, MergeKeyPolicy,
    MessageFormatter, NonFiniteFloatPolicy, Options, Spanned,
};

use super::diagnostic::{Diagnostic, Fault, printable, quote};

/// Most documents in a file. A directory may hold many files.
const MOST_DOCUMENTS: usize = 1000;
/// Most values in a file, aliases counted as often as they are used: a policy has about thirty.
const MOST_VALUES: usize = 50_000;
/// Deepest nesting; a policy needs four. Bounds the recursion of everything that walks the tree.
const DEEPEST: usize = 16;

/// A place in the text; both count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl From<Location> for Position {
    fn from(at: Location) -> Self {
        Self { line: at.line(), column: at.column() }
    }
}

/// A value and where it is written; for an alias, where the anchor's value is, because there it is mended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no [`Self::Integer`], as text.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// The entries as written, repeated keys included.
    Mapping(Vec<(Node, Node)>),
}

/// The documents of `text` that have content.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Node>, Diagnostic> {
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| diagnose(file, &e))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: MOST_DOCUMENTS,
            max_nodes: MOST_VALUES,
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_VALUES },
        // Hands repeated keys on, all of them.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        emit_comments: false,
        with_snippet: false,
    }
}

fn diagnose(file: &str, error: &Error) -> Diagnostic {
    let mut cause = error;
    while let Error::AliasError { error, .. } | Error::WithSnippet { error, .. } = cause {
        cause = error;
    }
    let at = error.location().map_or(Position { line: 0, column: 0 }, Position::from);
    let Fault { message, help } = fault(cause);
    Diagnostic {
        file: file.to_owned(),
        line: at.line,
        column: at.column,
        field: String::new(),
        message,
        help,
    }
}

fn fault(error: &Error) -> Fault {
    match error {
        _ if is_too_much(error) => Fault::new(
            "there is too much in this file, or it is nested too deeply",
            format!(
                "split it: a file takes {MOST_DOCUMENTS} documents, {MOST_VALUES} values with aliases written \
                 out, and {DEEPEST} levels"
            ),
        ),
        Error::UnknownAnchor { .. } => Fault::new(
            "this `*` starts a YAML alias, and no anchor has its name",
            "quote a value that starts with `*`, such as `\"*.service\"`",
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            Fault::new("this YAML alias refers to a value that contains it", "write the value out")
        }
        Error::MergeKeyNotAllowed { .. } => Fault::new(
            "YAML merge keys (`<<`) are not read",
            "write the fields out, or use an alias for a whole value, such as `keepalive: *slow`",
        ),
        Error::UnsupportedTag { .. } => {
            Fault::new(library(error), "remove the tag; to start a text with `!`, quote it")
        }
        _ => Fault::new(
            format!("this is not YAML: {}", library(error)),
            "check indentation, brackets and quotes here and in the line above; quote a value with special \
             characters",
        ),
    }
}

fn is_too_much(error: &Error) -> bool {
    match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => true,
        Error::ExternalMessage { source, .. } => match &**source {
            ExternalMessageSource::Parser(e) => matches!(e.kind(), ErrorKind::RecursionLimitExceeded),
            _ => false,
        },
        _ => false,
    }
}

fn library(error: &Error) -> String {
    printable(&DefaultMessageFormatter.format_message(error))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: spanned.defined.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Value::Number(value.to_string()), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Mapping(entries))
    }
}

impl Value {
    /// What it is, for the sentence "… is needed, this is …".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "empty".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Integer(value) => format!("the number `{value}`"),
            Self::Number(value) => format!("the number {}", quote(value)),
            Self::Text(value) => format!("the text {}", quote(value)),
            Self::List(_) => "a list".to_owned(),
            Self::Mapping(_) => "a mapping".to_owned(),
        }
    }
}
