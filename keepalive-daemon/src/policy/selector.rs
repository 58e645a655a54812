//! Label selectors, as Kubernetes has them.

use std::collections::BTreeMap;

use super::diagnostic::{quote, quote_some};

/// What the labels of a pod must be: all of it must hold. Empty selects every pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    pub(crate) requirements: Vec<Requirement>,
}

/// One line of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// A label's key as Kubernetes allows it, so safe to print.
    pub(crate) key: String,
    pub(crate) operator: Operator,
}

/// What is asked of the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// It is there and has one of these values; at least one.
    In(Vec<String>),
    /// It is not there, or has none of these values; at least one.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether `labels` are as asked for; if not, the first requirement they do not meet, for people.
    ///
    /// # Errors
    /// The requirement that is not met, and what the labels have instead.
    pub fn check(&self, labels: &BTreeMap<String, String>) -> Result<(), String> {
        self.unmet(labels).map_or(Ok(()), |requirement| Err(requirement.reason(labels)))
    }

    /// Whether `labels` are as asked for.
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.unmet(labels).is_none()
    }

    fn unmet(&self, labels: &BTreeMap<String, String>) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| !requirement.is_met(labels))
    }
}

impl Requirement {
    fn is_met(&self, labels: &BTreeMap<String, String>) -> bool {
        let given = labels.get(&self.key);
        let is_one_of = |values: &[String]| given.is_some_and(|given| values.contains(given));
        match &self.operator {
            Operator::In(values) => is_one_of(values),
            Operator::NotIn(values) => !is_one_of(values),
            Operator::Exists => given.is_some(),
            Operator::DoesNotExist => given.is_none(),
        }
    }

    /// Why `labels` do not meet it.
    fn reason(&self, labels: &BTreeMap<String, String>) -> String {
        let key = &self.key;
        let given = labels.get(key).map(|given| quote(given));
        match (&self.operator, given) {
            (Operator::In(values), Some(given)) => format!("label {key} is {given}, not {}", one_of(values)),
            (Operator::In(values), None) => {
                format!("it has no label {key}, which must be {}", one_of(values))
            }
            (_, Some(given)) => format!("label {key} is {given}, which is ruled out"),
            (_, None) => format!("it has no label {key}"),
        }
    }
}

fn one_of(values: &[String]) -> String {
    let shown = quote_some(values.iter().map(String::as_str));
    if values.len() > 1 { format!("one of {shown}") } else { shown }
}

#[cfg(test)]
mod tests;
