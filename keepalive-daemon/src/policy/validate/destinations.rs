//! Which remote ends a policy is for.

use keepalive_ebpf::{MOST_RULES, Timers};

use super::timers::Written;
use crate::policy::destinations::{Cidr, Destinations, Inherited, OwnValues, Ports, Rule};
use crate::policy::diagnostic::{Fault, quote};
use crate::policy::document::Value;
use crate::policy::fields::{Field, Fields, Report};
use crate::policy::{Limits, TimerSpec};

const RULES: &str = "list rules, such as `[{cidr: 10.0.0.0/8, ports: [5432]}]`";
const PORTS: &str = "list ports and ranges of ports, such as `[5432, \"8000-8999\"]`";

/// What `spec.destinations` says. The rules inherit from `policy`, which comes to `timers` if nothing is wrong with it.
pub(super) fn read(
    field: &Field<'_>,
    policy: &TimerSpec,
    timers: Option<Timers>,
    limits: &Limits,
    report: &mut Report<'_>,
) -> Option<Destinations> {
    let items = field.items(RULES, report)?;
    if items.is_empty() {
        let help = "list one, or remove the line: then the policy is for all";
        field.note(Fault::new("there is no destination", help), report);
    }
    let found_before = report.found();
    let inherits = Inherits { spec: policy, is_valid: timers.is_some(), limits };
    let rules: Vec<Rule> = items.iter().filter_map(|item| rule(item, &inherits, report)).collect();
    let entries: usize = rules.iter().map(Rule::entries).sum();
    if entries > MOST_RULES {
        let message = format!("there are {entries} rules, as each port or range of ports of one counts");
        let help = format!("there may be {MOST_RULES}: join ports to ranges and prefixes to shorter ones");
        field.note(Fault::new(message, help), report);
    }
    let timers = timers.filter(|_| report.found() == found_before)?;
    Some(Destinations::new(rules, &Inherited { timers, user_timeout: policy.user_timeout }))
}

/// What rules take from their policy.
struct Inherits<'a> {
    spec: &'a TimerSpec,
    is_valid: bool,
    limits: &'a Limits,
}

fn rule(field: &Field<'_>, inherits: &Inherits<'_>, report: &mut Report<'_>) -> Option<Rule> {
    let fields = field.fields(&["cidr", "ports", "keepalive", "userTimeout"], report)?;
    let found_before = report.found();
    let cidr = fields.optional("cidr").and_then(|field| cidr(field, report));
    let ports = fields.optional("ports").and_then(|field| ports(field, report));
    if fields.optional("cidr").is_none() && fields.optional("ports").is_none() {
        let help =
            "add `cidr: 10.0.0.0/8`, or `ports: [5432]`, or say both; `cidr: \"::/0\"` is every address";
        fields.note(Fault::new("neither addresses nor ports are said", help), report);
    }
    let values = own_values(&fields, inherits, report);
    if report.found() > found_before {
        return None;
    }
    Some(Rule { cidr, ports: ports.unwrap_or_default(), values: values? })
}

fn own_values(rule: &Fields<'_>, inherits: &Inherits<'_>, report: &mut Report<'_>) -> Option<OwnValues> {
    let written = Written::read(rule, report);
    let timers = written.resolve_over(inherits.spec, inherits.is_valid, inherits.limits, report)?;
    let TimerSpec { idle, interval, probes, user_timeout } = written.spec;
    Some(OwnValues {
        idle_s: idle.map(|_| timers.idle_s),
        interval_s: interval.map(|_| timers.interval_s),
        probes: probes.map(|_| timers.probes),
        user_timeout,
    })
}

fn cidr(field: &Field<'_>, report: &mut Report<'_>) -> Option<Cidr> {
    let text = field.text("write a prefix such as `10.0.0.0/8`", report)?;
    field.accept(text.parse(), report)
}

fn ports(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<Ports>> {
    let items = field.items(PORTS, report)?;
    if items.is_empty() {
        field
            .note(Fault::new("no port is listed", "list one, or remove `ports`: then it is for all"), report);
    }
    let mut ports: Vec<Ports> = Vec::with_capacity(items.len().min(MOST_RULES));
    for item in &items {
        let Some(given) = port(item, report) else { continue };
        if ports.contains(&given) {
            let message = format!("{} is listed twice", quote(&given.to_string()));
            item.note(Fault::new(message, "keep one of them"), report);
        } else if ports.len() <= MOST_RULES {
            // One more than there may be is enough to say so.
            ports.push(given);
        }
    }
    Some(ports)
}

fn port(item: &Field<'_>, report: &mut Report<'_>) -> Option<Ports> {
    let parsed = match item.value() {
        Value::Integer(number) => Ports::single(*number),
        Value::Text(text) => text.parse(),
        _ => {
            item.note_type("a port", "write one such as `5432`, or a range such as `\"8000-8999\"`", report);
            return None;
        }
    };
    item.accept(parsed, report)
}
