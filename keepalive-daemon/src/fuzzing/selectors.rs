//! Label selectors.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{draw::Draw, policies::mistakes};
use crate::policy::{Limits, PodFacts, Scope, parse};

const KEYS: [&str; 4] = ["app", "tier", "example.org/role", "App"];
const VALUES: [&str; 4] = ["web", "db", "", "Web"];
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// Selects pods by their labels, as a reader of Kubernetes' documentation would; and reads any selector.
///
/// # Panics
/// If other pods are selected, or one is passed over without a reason.
pub fn selectors(data: &[u8]) {
    let mut draw = Draw::new(data);
    if draw.coin() {
        modelled(&mut draw);
    } else {
        let text = document(&String::from_utf8_lossy(draw.rest()));
        if let Err(diagnostics) = parse("fuzz.yaml", &text, &Limits::default()) {
            mistakes(&text, &diagnostics);
        }
    }
}

fn document(selector: &str) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: KeepalivePolicy\nmetadata: {{name: a, namespace: b}}\n\
         spec: {{podSelector: {selector}}}\n"
    )
}

/// A requirement: a key, the index of its operator, and values.
type Requirement = (&'static str, usize, Vec<&'static str>);

fn modelled(draw: &mut Draw<'_>) {
    let labels: BTreeMap<String, String> = (0..draw.below(4))
        .map(|_| (draw.one_of(&KEYS).to_owned(), draw.one_of(&VALUES).to_owned()))
        .collect();
    let match_labels: BTreeMap<&str, &str> =
        (0..draw.below(3)).map(|_| (draw.one_of(&KEYS), draw.one_of(&VALUES))).collect();
    let requirements: Vec<Requirement> = (0..draw.below(5))
        .map(|_| {
            let (key, operator) = (draw.one_of(&KEYS), draw.below(OPERATORS.len()));
            let mut values: Vec<_> = (0..=draw.below(3)).map(|_| draw.one_of(&VALUES)).collect();
            values.sort_unstable();
            values.dedup();
            (key, operator, values)
        })
        .collect();
    let expressions: Vec<Value> = requirements.iter().map(expression).collect();
    let text = document(&json!({"matchLabels": match_labels, "matchExpressions": expressions}).to_string());
    let policies =
        parse("fuzz.yaml", &text, &Limits::default()).map_err(|mistakes| format!("{mistakes:?}: {text}"));
    let policies = policies.expect("it is right");
    let Some(Scope::Pods(scope)) = policies.first().map(|policy| &policy.scope) else { return };

    let is_equal = |(key, value): (&&str, &&str)| labels.get(*key).is_some_and(|given| given == value);
    let expected = match_labels.iter().all(is_equal) && requirements.iter().all(|it| holds(it, &labels));
    let pod = PodFacts { namespace: "b".to_owned(), labels: labels.clone(), ..PodFacts::default() };
    let found = scope.check(&pod);
    assert_eq!(found.is_ok(), expected, "{labels:?} {text}: {found:?}");
    assert!(found.err().is_none_or(|reason| reason.len() > 10));
    let elsewhere = PodFacts { namespace: "c".to_owned(), ..pod };
    assert!(scope.check(&elsewhere).is_err());
}

fn expression((key, operator, values): &Requirement) -> Value {
    let mut expression = json!({"key": key, "operator": OPERATORS[*operator]});
    if *operator < 2 {
        expression["values"] = values.clone().into();
    }
    expression
}

fn holds((key, operator, values): &Requirement, labels: &BTreeMap<String, String>) -> bool {
    let given = labels.get(*key);
    let is_one = given.is_some_and(|given| values.iter().any(|value| value == given));
    [is_one, !is_one, given.is_some(), given.is_none()][*operator]
}
