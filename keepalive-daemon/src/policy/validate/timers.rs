//! The values of a policy.

use keepalive_ebpf::Timers;

use crate::policy::diagnostic::Fault;
use crate::policy::document::Value;
use crate::policy::duration::parse_duration;
use crate::policy::fields::{Field, Fields, Report};
use crate::policy::{Limits, TimerField, TimerSpec, UserTimeout};

pub(super) const DURATION: &str = "write a duration such as `60s` or `1m30s`";
pub(super) const PROBES: &str = "write a number of probes, such as `4`";

/// The values as written, and as they are set.
pub(super) fn read(
    spec: &Fields<'_>,
    limits: &Limits,
    report: &mut Report<'_>,
) -> Option<(TimerSpec, Timers)> {
    let keepalive =
        spec.optional("keepalive").and_then(|field| field.fields(&["idle", "interval", "probes"], report));
    let of_keepalive = |name| keepalive.as_ref().and_then(|fields| fields.optional(name));
    let (idle, interval) = (of_keepalive("idle"), of_keepalive("interval"));
    let (probes, user_timeout) = (of_keepalive("probes"), spec.optional("userTimeout"));
    let timers = TimerSpec {
        idle: idle.and_then(|field| parsed(field, parse_duration, DURATION, report)),
        interval: interval.and_then(|field| parsed(field, parse_duration, DURATION, report)),
        probes: probes.and_then(|field| field.integer(PROBES, report)),
        user_timeout: user_timeout.and_then(|field| {
            parsed(field, str::parse::<UserTimeout>, "write `auto`, or a duration such as `90s`", report)
        }),
    };
    let refused = match timers.resolve(limits) {
        Ok(resolved) => return Some((timers, resolved)),
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
pub(super) fn parsed<T>(
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
