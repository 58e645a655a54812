//! What a document must say to be a policy.

mod destinations;
mod list;
mod metadata;
mod options;
mod overrides;
mod selection;
mod selector;
mod timers;

use keepalive_ebpf::Options;

use super::diagnostic::{Diagnostic, Fault, did_you_mean, quote};
use super::document::{Node, Value};
use super::fields::{Field, Report};
use super::{
    API_VERSION, DEFAULT_DIRECTION, DEFAULT_MODE, DIRECTIONS, Limits, MODES, Overrides, Policy, Source,
};

/// The kinds of documents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cluster,
    Namespaced,
}

/// The kinds by their names.
const KINDS: [(&str, Kind); 2] =
    [("ClusterKeepalivePolicy", Kind::Cluster), ("KeepalivePolicy", Kind::Namespaced)];

impl Kind {
    /// A `spec` of this kind.
    const fn example(self) -> &'static str {
        match self {
            Self::Cluster => "spec: {cgroups: [\"system.slice/*\"]}",
            Self::Namespaced => "spec: {podSelector: {matchLabels: {app: web}}}",
        }
    }
}

/// The policies that `documents` of `file` declare, or all that is wrong with any of them.
pub(super) fn policies(
    file: &str,
    documents: &[Node],
    limits: &Limits,
) -> Result<Vec<Policy>, Vec<Diagnostic>> {
    let mut report = Report::new(file);
    let policies: Vec<_> = documents
        .iter()
        .filter_map(|document| policy(&Field::document(document), limits, &mut report))
        .collect();
    match report.found() {
        0 => Ok(policies),
        _ => Err(report.into_diagnostics()),
    }
}

fn policy(document: &Field<'_>, limits: &Limits, report: &mut Report<'_>) -> Option<Policy> {
    // What a document of another kind may say is not known: nothing but its kind is reported.
    let kind = known_kind(document, report)?;
    let found_before = report.found();
    let top = document.fields(&["apiVersion", "kind", "metadata", "spec"], report)?;
    let metadata = match kind {
        Kind::Cluster => "metadata: {name: a-name}",
        Kind::Namespaced => "metadata: {name: a-name, namespace: a-namespace}",
    };
    let id = top.required("metadata", metadata, report).and_then(|field| metadata::read(field, kind, report));
    let spec = top
        .required("spec", kind.example(), report)
        .and_then(|field| selection::fields(field, kind, report))?;
    let namespace = id.as_ref().and_then(|(id, _)| id.namespace.as_deref());
    let scope = selection::scope(&spec, kind, namespace, report);
    let priority = spec.optional("priority").map_or(Some(0), |field| priority(field, report));
    let mode = spec.optional("mode").map_or(Some(DEFAULT_MODE), |field| field.choice(&MODES, report));
    let direction =
        spec.optional("direction").map_or(Some(DEFAULT_DIRECTION), |field| field.choice(&DIRECTIONS, report));
    let values = timers::Written::read(&spec, report);
    let timers = values.resolve(limits, report);
    let destinations = spec
        .optional("destinations")
        .and_then(|field| destinations::read(field, &values.spec, timers, limits, report));
    let options = spec
        .optional("options")
        .map_or(Some(Options::NONE), |field| options::read(field, &limits.kernel, report));
    let apply_to_existing = spec.optional("applyToExisting").map_or(Some(true), |field| {
        let help = "write whether connections that are open already get what new ones get, as they do where nothing is \
                    said";
        field.boolean(help, report)
    });
    let overrides = spec
        .optional("podOverrides")
        .map_or_else(|| Some(Overrides::default()), |field| overrides::read(field, limits, report));
    if report.found() > found_before {
        return None;
    }
    let (id, at) = id?;
    let source = Source { file: report.file().to_owned(), line: at.line, column: at.column };
    Some(Policy {
        id,
        source,
        priority: priority?,
        mode: mode?,
        direction: direction?,
        spec: values.spec,
        timers: timers?,
        destinations,
        options: options?,
        apply_to_existing: apply_to_existing?,
        scope: scope?,
        overrides: overrides?,
    })
}

/// The kind of a document; `None` if it is not one that is known.
fn known_kind(document: &Field<'_>, report: &mut Report<'_>) -> Option<Kind> {
    let api_version = format!("apiVersion: {API_VERSION}");
    if !matches!(document.value(), Value::Mapping(_)) {
        document.note_type("a policy", format!("begin with `{api_version}`"), report);
        return None;
    }
    let found_before = report.found();
    match document.peek("apiVersion") {
        None => document.note_missing("apiVersion", &api_version, report),
        Some(field) => {
            let help = format!("write `{api_version}`");
            let given = field.text(&help, report);
            if let Some(given) = given.filter(|given| *given != API_VERSION) {
                field.note(Fault::new(format!("{} is not known", quote(given)), help), report);
            }
        }
    }
    let names = KINDS.map(|(name, _)| name);
    let kind = match document.peek("kind") {
        None => {
            document.note_missing("kind", &format!("kind: {}", names[0]), report);
            None
        }
        Some(field) => {
            let help = format!("the kinds are {}", names.join(", "));
            let given = field.text(&help, report)?;
            let kind = KINDS.iter().find(|(name, _)| *name == given).map(|(_, kind)| *kind);
            if kind.is_none() {
                let help = format!("{help}{}", did_you_mean(given, &names));
                field.note(Fault::new(format!("{} is not known", quote(given)), help), report);
            }
            kind
        }
    };
    kind.filter(|_| report.found() == found_before)
}

fn priority(field: &Field<'_>, report: &mut Report<'_>) -> Option<i32> {
    let range = format!("write a whole number from {} to {}", i32::MIN, i32::MAX);
    let given = field.integer(&range, report)?;
    let priority = i32::try_from(given).map_err(|_| Fault::new(format!("{given} is out of range"), range));
    field.accept(priority, report)
}
