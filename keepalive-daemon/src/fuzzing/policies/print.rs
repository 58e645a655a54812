//! Policies as text that reads back as the same policies: JSON, which is YAML too.

use std::time::Duration;

use keepalive_ebpf::Options;
use serde_json::{Map, Value, json};

use crate::policy::{
    API_VERSION, CgroupGlob, DIRECTIONS, LabelSelector, MODES, NamespaceGlob, NamespaceScope, Operator,
    Overrides, PodScope, Policy, Ports, Rule, Scope, TimerSpec, UserTimeout, Within,
};

/// One document a policy; a comment where there is none, as a file must not be empty.
pub(super) fn print(policies: &[Policy]) -> String {
    let documents: Vec<_> = policies.iter().map(|policy| ascii(&document(policy).to_string())).collect();
    format!("# printed\n{}", documents.join("\n---\n"))
}

/// Only texts hold other characters, and not all of those may be written as they are.
fn ascii(json: &str) -> String {
    let escaped = |c: char| {
        if c.is_ascii() && c != '\x7f' { c.to_string() } else { format!("\\U{:08x}", u32::from(c)) }
    };
    json.chars().map(escaped).collect()
}

fn document(policy: &Policy) -> Value {
    let Policy { id, priority, spec, destinations, options, apply_to_existing, overrides, .. } = policy;
    let mut fields = Map::new();
    match &policy.scope {
        Scope::Cgroups(globs) => {
            let globs: Vec<_> = globs.iter().map(CgroupGlob::as_str).collect();
            fields.insert("cgroups".into(), globs.into());
        }
        Scope::Pods(PodScope { namespaces, selector }) => {
            if let NamespaceScope::Globs { included, excluded } = namespaces {
                for (name, globs) in [("namespaces", included), ("excludedNamespaces", excluded)] {
                    let globs: Vec<_> = globs.iter().map(NamespaceGlob::as_str).collect();
                    if !globs.is_empty() {
                        fields.insert(name.into(), globs.into());
                    }
                }
            }
            fields.insert("podSelector".into(), printed_selector(selector));
        }
    }
    let mode = MODES.iter().find(|(_, mode)| *mode == policy.mode).map(|(name, _)| *name);
    let direction = DIRECTIONS.iter().find(|(_, it)| *it == policy.direction).map(|(name, _)| *name);
    fields.insert("priority".into(), (*priority).into());
    fields.insert("mode".into(), mode.into());
    fields.insert("direction".into(), direction.into());
    fields.insert("applyToExisting".into(), (*apply_to_existing).into());
    fields.insert("options".into(), printed_options(options));
    fields.insert("podOverrides".into(), printed_overrides(overrides));
    printed_values(spec, &mut fields);
    if let Some(destinations) = destinations {
        let rules: Vec<Value> = destinations.rules().iter().map(rule).collect();
        fields.insert("destinations".into(), rules.into());
    }
    let mut metadata = Map::from_iter([("name".to_owned(), id.name.clone().into())]);
    metadata.extend(id.namespace.clone().map(|namespace| ("namespace".to_owned(), namespace.into())));
    json!({"apiVersion": API_VERSION, "kind": policy.kind().name(), "metadata": metadata, "spec": fields})
}

fn printed_selector(selector: &LabelSelector) -> Value {
    let expressions = selector.requirements.iter().map(|requirement| {
        let (operator, values) = match &requirement.operator {
            Operator::In(values) => ("In", Some(values)),
            Operator::NotIn(values) => ("NotIn", Some(values)),
            Operator::Exists => ("Exists", None),
            Operator::DoesNotExist => ("DoesNotExist", None),
        };
        let mut expression = json!({"key": requirement.key, "operator": operator});
        if let Some(values) = values {
            expression["values"] = values.clone().into();
        }
        expression
    });
    let expressions: Vec<Value> = expressions.collect();
    if expressions.is_empty() { json!({}) } else { json!({"matchExpressions": expressions}) }
}

fn printed_values(spec: &TimerSpec, fields: &mut Map<String, Value>) {
    let mut keepalive = Map::new();
    keepalive.extend(spec.idle.map(|idle| ("idle".to_owned(), duration(idle).into())));
    keepalive.extend(spec.interval.map(|interval| ("interval".to_owned(), duration(interval).into())));
    keepalive.extend(spec.probes.map(|probes| ("probes".to_owned(), probes.into())));
    fields.insert("keepalive".into(), keepalive.into());
    let user_timeout = spec.user_timeout.map(|timeout| match timeout {
        UserTimeout::Auto => "auto".to_owned(),
        UserTimeout::After(after) => duration(after),
    });
    fields.extend(user_timeout.map(|text| ("userTimeout".to_owned(), text.into())));
}

fn rule(rule: &Rule) -> Value {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let spec = TimerSpec {
        idle: rule.values.idle_s.map(seconds),
        interval: rule.values.interval_s.map(seconds),
        probes: rule.values.probes.map(i64::from),
        user_timeout: rule.values.user_timeout,
    };
    let mut fields = Map::new();
    printed_values(&spec, &mut fields);
    fields.extend(rule.cidr.map(|cidr| ("cidr".to_owned(), cidr.to_string().into())));
    if !rule.ports.is_empty() {
        let ports: Vec<_> = rule.ports.iter().map(Ports::to_string).collect();
        fields.insert("ports".into(), ports.into());
    }
    fields.into()
}

fn printed_options(options: &Options) -> Value {
    let congestion: Vec<u8> = options.congestion.iter().copied().take_while(|byte| *byte != 0).collect();
    let all = [
        (Options::NO_DELAY, "noDelay", (options.no_delay == 1).into()),
        (Options::NOT_SENT_LOWAT, "notSentLowat", options.not_sent_lowat.into()),
        (Options::MAX_SEGMENT, "maxSegment", options.max_segment.into()),
        (Options::SYN_COUNT, "synCount", options.syn_count.into()),
        (Options::PRIORITY, "priority", options.priority.into()),
        (Options::MARK, "mark", options.mark.into()),
        (Options::TOS, "tos", options.tos.into()),
        (Options::CONGESTION, "congestion", String::from_utf8_lossy(&congestion).into()),
    ];
    let set = all.into_iter().filter(|(bit, ..)| options.which & bit != 0);
    Value::Object(set.map(|(_, name, value)| (name.to_owned(), value)).collect())
}

fn printed_overrides(overrides: &Overrides) -> Value {
    let durations =
        [("idle", overrides.idle), ("interval", overrides.interval), ("userTimeout", overrides.user_timeout)];
    let mut fields = Map::from_iter([("optOut".to_owned(), overrides.opt_out.into())]);
    for (name, bounds) in durations {
        let bounds = bounds.map(|Within { min, max }| json!({"min": duration(min), "max": duration(max)}));
        fields.extend(bounds.map(|bounds| (name.to_owned(), bounds)));
    }
    let probes = overrides.probes.map(|Within { min, max }| json!({"min": min, "max": max}));
    fields.extend(probes.map(|bounds| ("probes".to_owned(), bounds)));
    fields.into()
}

fn duration(duration: Duration) -> String {
    format!("{}s {}ns", duration.as_secs(), duration.subsec_nanos())
}
