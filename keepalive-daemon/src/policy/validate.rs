//! What a document must say to be a policy.

use std::collections::HashSet;

use keepalive_ebpf::Timers;

use super::diagnostic::{Diagnostic, Fault, did_you_mean, quote};
use super::document::{Node, Position, Value};
use super::duration::parse_duration;
use super::fields::{Field, Fields, Report};
use super::{
    API_VERSION, CgroupGlob, DEFAULT_DIRECTION, DEFAULT_MODE, DIRECTIONS, Limits, MODES, Policy, Source,
    TimerField, TimerSpec, UserTimeout,
};

/// The kinds of documents.
const KINDS: [&str; 1] = ["ClusterKeepalivePolicy"];
/// The longest DNS subdomain.
const LONGEST_NAME: usize = 253;
const DURATION: &str = "write a duration such as `60s` or `1m30s`";

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
    if !is_of_known_kind(document, report) {
        return None;
    }
    let found_before = report.found();
    let top = document.fields(&["apiVersion", "kind", "metadata", "spec"], report)?;
    let name = top.required("metadata", "metadata: {name: a-name}", report).and_then(|f| name(f, report));
    let spec = top.required("spec", "spec: {cgroups: [\"system.slice/*\"]}", report).and_then(|field| {
        field.fields(&["cgroups", "priority", "mode", "direction", "keepalive", "userTimeout"], report)
    })?;
    let cgroups = spec
        .required("cgroups", "cgroups: [\"system.slice/*\"]", report)
        .and_then(|field| cgroups(field, report));
    let priority = spec.optional("priority").map_or(Some(0), |field| priority(field, report));
    let mode = spec.optional("mode").map_or(Some(DEFAULT_MODE), |field| field.choice(&MODES, report));
    let direction =
        spec.optional("direction").map_or(Some(DEFAULT_DIRECTION), |field| field.choice(&DIRECTIONS, report));
    let timers = timers(&spec, limits, report);
    if report.found() > found_before {
        return None;
    }
    let (name, at) = name?;
    let source = Source { file: report.file().to_owned(), line: at.line, column: at.column };
    Some(Policy {
        name,
        source,
        priority: priority?,
        mode: mode?,
        direction: direction?,
        timers: timers?,
        cgroups: cgroups?,
    })
}

fn is_of_known_kind(document: &Field<'_>, report: &mut Report<'_>) -> bool {
    let api_version = format!("apiVersion: {API_VERSION}");
    if !matches!(document.value(), Value::Mapping(_)) {
        document.note_type("a policy", format!("begin with `{api_version}`"), report);
        return false;
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
    match document.peek("kind") {
        None => document.note_missing("kind", &format!("kind: {}", KINDS[0]), report),
        Some(field) => {
            let help = format!("the kinds are {}", KINDS.join(", "));
            let given = field.text(&help, report);
            if let Some(given) = given.filter(|given| !KINDS.contains(given)) {
                let help = format!("{help}{}", did_you_mean(given, &KINDS));
                field.note(Fault::new(format!("{} is not known", quote(given)), help), report);
            }
        }
    }
    report.found() == found_before
}

fn name(metadata: &Field<'_>, report: &mut Report<'_>) -> Option<(String, Position)> {
    let fields = metadata.fields(&["name", "labels", "annotations"], report)?;
    // Tools that write documents for Kubernetes add these; they mean nothing here.
    for field in ["labels", "annotations"].iter().filter_map(|name| fields.optional(name)) {
        if !matches!(field.value(), Value::Mapping(_)) {
            field.note_type("a mapping", "write names and texts, such as `{team: checkout}`", report);
        }
    }
    let field = fields.required("name", "name: a-name", report)?;
    let help = "write lower-case letters, digits, `-` and `.`; each part between dots begins and ends with a \
                letter or digit";
    let name = field.text(help, report)?;
    if !is_dns_subdomain(name) {
        field.note(Fault::new(format!("{} is not a DNS subdomain", quote(name)), help), report);
        return None;
    }
    if name.len() > LONGEST_NAME {
        let help = format!("a name has at most {LONGEST_NAME} characters");
        field.note(Fault::new(format!("{} is {} characters long", quote(name), name.len()), help), report);
        return None;
    }
    Some((name.to_owned(), field.at()))
}

/// RFC 1123, as Kubernetes reads it.
fn is_dns_subdomain(name: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.split('.').all(|label| {
        let bytes = label.as_bytes();
        bytes.iter().all(|&b| is_alphanumeric(b) || b == b'-')
            && bytes.first().is_some_and(|&b| is_alphanumeric(b))
            && bytes.last().is_some_and(|&b| is_alphanumeric(b))
    })
}

fn cgroups(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<CgroupGlob>> {
    let help = "list globs on cgroup paths, such as `[\"system.slice/nginx.service\", \"docker/*\"]`";
    let items = field.items(help, report)?;
    if items.is_empty() {
        field.note(Fault::new("no cgroup is selected", help), report);
    }
    let mut globs = Vec::with_capacity(items.len());
    let mut seen = HashSet::new();
    for item in items {
        let Some(text) = item.text("write a path such as `\"docker/*\"`", report) else { continue };
        if seen.insert(text) {
            globs.extend(item.accept(CgroupGlob::parse(text), report));
        } else {
            item.note(Fault::new(format!("{} is listed twice", quote(text)), "keep one of them"), report);
        }
    }
    Some(globs)
}

fn priority(field: &Field<'_>, report: &mut Report<'_>) -> Option<i32> {
    let range = format!("write a whole number from {} to {}", i32::MIN, i32::MAX);
    let given = field.integer(&range, report)?;
    let priority = i32::try_from(given).map_err(|_| Fault::new(format!("{given} is out of range"), range));
    field.accept(priority, report)
}

fn timers(spec: &Fields<'_>, limits: &Limits, report: &mut Report<'_>) -> Option<Timers> {
    let keepalive =
        spec.optional("keepalive").and_then(|field| field.fields(&["idle", "interval", "probes"], report));
    let of_keepalive = |name| keepalive.as_ref().and_then(|fields| fields.optional(name));
    let (idle, interval) = (of_keepalive("idle"), of_keepalive("interval"));
    let (probes, user_timeout) = (of_keepalive("probes"), spec.optional("userTimeout"));
    let timers = TimerSpec {
        idle: idle.and_then(|field| parsed(field, parse_duration, DURATION, report)),
        interval: interval.and_then(|field| parsed(field, parse_duration, DURATION, report)),
        probes: probes.and_then(|field| field.integer("write a number of probes, such as `4`", report)),
        user_timeout: user_timeout.and_then(|field| {
            parsed(field, str::parse::<UserTimeout>, "write `auto`, or a duration such as `90s`", report)
        }),
    };
    let refused = match timers.resolve(limits) {
        Ok(timers) => return Some(timers),
        Err(refused) => refused,
    };
    for refused in refused {
        let field = match refused.field {
            TimerField::Idle => idle,
            TimerField::Interval => interval,
            TimerField::Probes => probes,
            TimerField::UserTimeout => user_timeout,
        };
        spec.note_in(field, refused.fault, report);
    }
    None
}

/// A value that is a text with a meaning. A bare number is handed on as text, for the parser to say what it
/// lacks.
fn parsed<T>(
    field: &Field<'_>,
    parse: fn(&str) -> Result<T, Fault>,
    help: &str,
    report: &mut Report<'_>,
) -> Option<T> {
    let result = match field.value() {
        Value::Text(text) | Value::Number(text) => parse(text),
        Value::Integer(number) => parse(&number.to_string()),
        _ => {
            field.note_type("a duration", help, report);
            return None;
        }
    };
    field.accept(result, report)
}
