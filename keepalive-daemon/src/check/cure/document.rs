//! Policy documents as a person would write them.

use std::{collections::BTreeMap, fmt::Write as _};

use super::Governing;
use crate::policy::{API_VERSION, DEFAULT_INTERVAL, DEFAULT_PROBES};

/// What a document is to say of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) idle_s: u32,
    /// Above the policies that govern now, if there are any.
    pub(super) priority: Option<i32>,
    /// Whether one of them enforces.
    pub(super) enforces: bool,
}

impl Wanted {
    /// A policy for all pods of a namespace.
    pub(super) fn for_namespace(
        self,
        namespace: &str,
        why: &str,
        governing: &BTreeMap<String, Governing>,
    ) -> String {
        let (name, _) = free_name(&format!("{namespace}/"), governing, 1);
        let namespace = quoted(namespace);
        let head =
            format!("kind: KeepalivePolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n");
        self.document(&format!("{why}; for all pods of the namespace"), &head)
    }

    /// A policy for cgroups, by a name that is not taken.
    pub(super) fn for_cgroups(self, globs: &[String], why: &str, name: &str) -> String {
        let mut head =
            format!("kind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\nspec:\n  cgroups:\n");
        for glob in globs {
            let _ = writeln!(head, "  - {}", quoted(glob));
        }
        self.document(why, &head)
    }

    fn document(self, why: &str, head: &str) -> String {
        let Self { idle_s, priority, enforces } = self;
        let interval_s = DEFAULT_INTERVAL.as_secs().min(idle_s.into());
        let why = why.replace(char::is_control, " ");
        let mut text = format!("# {why}\napiVersion: {API_VERSION}\n{head}");
        if let Some(priority) = priority {
            let _ = writeln!(text, "  priority: {priority}  # above the policies that govern now");
        }
        if enforces {
            text.push_str("  mode: Enforce  # as the policy that governs now\n");
        }
        let _ = writeln!(
            text,
            "  keepalive: {{idle: {idle_s}s, interval: {interval_s}s, probes: {DEFAULT_PROBES}}}"
        );
        text
    }
}

/// A name that no policy has yet, of those from this number on, and its number: two of one name would make the daemon
/// refuse all of the directory.
pub(super) fn free_name(
    prefix: &str,
    governing: &BTreeMap<String, Governing>,
    from: usize,
) -> (String, usize) {
    let mut number = from;
    loop {
        let name = if number == 1 { "check".to_owned() } else { format!("check-{number}") };
        if !governing.contains_key(&format!("{prefix}{name}")) {
            return (name, number);
        }
        number += 1;
    }
}

/// A glob that matches one path. What cannot be written stands for any character.
pub(super) fn literal(path: &str) -> String {
    let mut glob = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' | '{' | '}' => glob.extend(['[', c, ']']),
            c if c.is_control() => glob.push('?'),
            c => glob.push(c),
        }
    }
    glob
}

/// A text in quotes; JSON's are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
