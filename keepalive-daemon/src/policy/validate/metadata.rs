//! What a policy is called.

use super::Kind;
use crate::policy::PolicyId;
use crate::policy::diagnostic::{Fault, quote};
use crate::policy::document::{Position, Value};
use crate::policy::fields::{Field, Report};

/// The longest DNS subdomain.
const LONGEST_NAME: usize = 253;
/// The longest DNS label, which the name of a namespace is.
const LONGEST_LABEL: usize = 63;

/// The name, and where it is written.
pub(super) fn read(
    metadata: &Field<'_>,
    kind: Kind,
    report: &mut Report<'_>,
) -> Option<(PolicyId, Position)> {
    let known: &[_] = match kind {
        Kind::Cluster => &["name", "labels", "annotations"],
        Kind::Namespaced => &["name", "namespace", "labels", "annotations"],
    };
    let misplaced = |name: &str| {
        (name == "namespace").then(|| {
            let help = "remove it, or make this a KeepalivePolicy: that is for the pods of its namespace";
            Fault::new("a ClusterKeepalivePolicy is of no namespace", help)
        })
    };
    let fields = metadata.fields_but(known, misplaced, report)?;
    // Tools that write documents for Kubernetes add these; they mean nothing here.
    for field in ["labels", "annotations"].iter().filter_map(|name| fields.optional(name)) {
        if !matches!(field.value(), Value::Mapping(_)) {
            field.note_type("a mapping", "write names and texts, such as `{team: checkout}`", report);
        }
    }
    let name = fields.required("name", "name: a-name", report).and_then(|field| name(field, report));
    let namespace = match kind {
        Kind::Cluster => None,
        Kind::Namespaced => {
            let field = fields.required("namespace", "namespace: a-namespace", report)?;
            Some(namespace(field, report)?)
        }
    };
    let (name, at) = name?;
    Some((PolicyId { namespace, name }, at))
}

fn name(field: &Field<'_>, report: &mut Report<'_>) -> Option<(String, Position)> {
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

fn namespace(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let help = "write lower-case letters, digits and `-`; it begins and ends with a letter or digit";
    let name = field.text(help, report)?;
    if !is_dns_label(name) {
        field.note(Fault::new(format!("{} is not a DNS label", quote(name)), help), report);
        return None;
    }
    if name.len() > LONGEST_LABEL {
        let help = format!("the name of a namespace has at most {LONGEST_LABEL} characters");
        field.note(Fault::new(format!("{} is {} characters long", quote(name), name.len()), help), report);
        return None;
    }
    Some(name.to_owned())
}

/// RFC 1123, as Kubernetes reads it; the length is for the caller to check.
pub(super) fn is_dns_subdomain(name: &str) -> bool {
    name.split('.').all(is_dns_label)
}

fn is_dns_label(label: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = label.as_bytes();
    bytes.iter().all(|&b| is_alphanumeric(b) || b == b'-')
        && bytes.first().is_some_and(|&b| is_alphanumeric(b))
        && bytes.last().is_some_and(|&b| is_alphanumeric(b))
}
