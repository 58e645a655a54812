//! Which pods a policy is for, by their labels, with the rules that Kubernetes has for them.

use super::list::{Texts, check_count};
use super::metadata::is_dns_subdomain;
use crate::policy::LabelSelector;
use crate::policy::diagnostic::{Fault, quote};
use crate::policy::fields::{Field, Fields, Report};
use crate::policy::selector::{Operator, Requirement};

/// Most labels, and most expressions, of one selector: all pods of a node are compared with each of them.
/// People write a handful.
const MOST_REQUIREMENTS: usize = 50;
/// Most values of one expression.
const MOST_VALUES: usize = 100;
/// The longest name of a label, without its prefix, and the longest value.
const LONGEST_LABEL: usize = 63;
/// The longest prefix of a label's name.
const LONGEST_PREFIX: usize = 253;

/// What `spec.podSelector` says.
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Option<LabelSelector> {
    let fields = field.fields(&["matchLabels", "matchExpressions"], report)?;
    let mut requirements = Vec::new();
    if let Some(field) = fields.optional("matchLabels") {
        requirements.extend(match_labels(field, report)?);
    }
    if let Some(field) = fields.optional("matchExpressions") {
        let items = field.items("list expressions, such as `[{key: app, operator: Exists}]`", report)?;
        check_count(field, items.len(), MOST_REQUIREMENTS, report)?;
        requirements.extend(items.iter().filter_map(|item| expression(item, report)));
    }
    Some(LabelSelector { requirements })
}

fn match_labels(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<Requirement>> {
    let entries = field.entries("write labels and their values, such as `{app: web}`", report)?;
    check_count(field, entries.len(), MOST_REQUIREMENTS, report)?;
    let mut requirements = Vec::with_capacity(entries.len());
    for (key, field) in entries {
        let key = label_key(key).map_err(|fault| field.note_name(fault, report)).ok();
        let value = field.text("write a label's value, such as `web`", report);
        let value = value.and_then(|value| field.accept(label_value(value), report));
        if let (Some(key), Some(value)) = (key, value) {
            requirements.push(Requirement { key, operator: Operator::In(vec![value]) });
        }
    }
    Some(requirements)
}

fn expression(field: &Field<'_>, report: &mut Report<'_>) -> Option<Requirement> {
    #[derive(Clone, Copy)]
    enum Name {
        In,
        NotIn,
        Exists,
        DoesNotExist,
    }
    const OPERATORS: [(&str, Name); 4] = [
        ("In", Name::In),
        ("NotIn", Name::NotIn),
        ("Exists", Name::Exists),
        ("DoesNotExist", Name::DoesNotExist),
    ];
    let fields = field.fields(&["key", "operator", "values"], report)?;
    let key = fields
        .required("key", "key: app", report)
        .and_then(|field| Some((field, field.text("write the name of a label, such as `app`", report)?)))
        .and_then(|(field, key)| field.accept(label_key(key), report));
    let operator = fields
        .required("operator", "operator: Exists", report)
        .and_then(|field| field.choice(&OPERATORS, report))?;
    let operator = match operator {
        Name::In => Operator::In(values(&fields, report)?),
        Name::NotIn => Operator::NotIn(values(&fields, report)?),
        Name::Exists => no_values(&fields, Operator::Exists, report)?,
        Name::DoesNotExist => no_values(&fields, Operator::DoesNotExist, report)?,
    };
    Some(Requirement { key: key?, operator })
}

fn values(expression: &Fields<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let texts = Texts {
        help: "list values of the label, such as `[web, api]`; to ask whether it is there at all, the operators are \
               Exists and DoesNotExist",
        item_help: "write a label's value, such as `web`",
        empty: "there is no value to compare with",
        most: MOST_VALUES,
    };
    texts.read(expression.required("values", "values: [web]", report)?, label_value, report)
}

fn no_values(expression: &Fields<'_>, operator: Operator, report: &mut Report<'_>) -> Option<Operator> {
    let Some(field) = expression.optional("values") else { return Some(operator) };
    // Tools write the empty list.
    if field.items("remove it", report)?.is_empty() {
        return Some(operator);
    }
    let help = "remove them, or write the operator In or NotIn";
    field.note(Fault::new("the operators Exists and DoesNotExist take no values", help), report);
    None
}

/// The key of a label: a name, which a DNS subdomain and a `/` may precede.
fn label_key(text: &str) -> Result<String, Fault> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let prefix_is_valid =
        prefix.is_none_or(|prefix| prefix.len() <= LONGEST_PREFIX && is_dns_subdomain(prefix));
    if prefix_is_valid && is_label_text(name) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is not the name of a label", quote(text)),
        format!(
            "write at most {LONGEST_LABEL} letters, digits, `-`, `_` and `.`, with a letter or digit at either end; \
             a DNS subdomain and `/` may come before, as in `app.kubernetes.io/name`"
        ),
    ))
}

fn label_value(text: &str) -> Result<String, Fault> {
    if text.is_empty() || is_label_text(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{} is not the value of a label", quote(text)),
        format!(
            "write at most {LONGEST_LABEL} letters, digits, `-`, `_` and `.`, with a letter or digit at either end, or \
             nothing at all (`\"\"`)"
        ),
    ))
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= LONGEST_LABEL
        && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}
