//! The values of a policy.

use keepalive_ebpf::Timers;

use crate::policy::diagnostic::Fault;
use crate::policy::document::Value;
use crate::policy::duration::parse_duration;
use crate::policy::fields::{Field, Fields, Report};
use crate::policy::{Limits, OutOfRange, TimerField, TimerSpec, UserTimeout};

pub(super) const DURATION: &str = "write a duration such as `60s` or `1m30s`";
pub(super) const PROBES: &str = "write a number of probes, such as `4`";

/// The values of a mapping, as written.
pub(super) struct Written<'f, 'd> {
    owner: &'f Fields<'d>,
    keepalive: Option<Fields<'d>>,
    pub(super) spec: TimerSpec,
}

impl<'f, 'd> Written<'f, 'd> {
    /// The fields `keepalive` and `userTimeout` of `owner`.
    pub(super) fn read(owner: &'f Fields<'d>, report: &mut Report<'_>) -> Self {
        let keepalive = owner
            .optional("keepalive")
            .and_then(|field| field.fields(&["idle", "interval", "probes"], report));
        let mut written = Self { owner, keepalive, spec: TimerSpec::default() };
        let mut duration =
            |field| written.field(field).and_then(|field| parsed(field, parse_duration, DURATION, report));
        let (idle, interval) = (duration(TimerField::Idle), duration(TimerField::Interval));
        let probes = written.field(TimerField::Probes).and_then(|field| field.integer(PROBES, report));
        let user_timeout = written.field(TimerField::UserTimeout).and_then(|field| {
            parsed(field, str::parse::<UserTimeout>, "write `auto`, or a duration such as `90s`", report)
        });
        written.spec = TimerSpec { idle, interval, probes, user_timeout };
        written
    }

    /// The values to set; what is wrong with them is noted.
    pub(super) fn resolve(&self, limits: &Limits, report: &mut Report<'_>) -> Option<Timers> {
        self.note(self.spec.resolve(limits), true, report)
    }

    /// The values to set where those of `base` hold for what is absent. What is wrong with these was noted before,
    /// unless they are valid.
    pub(super) fn resolve_over(
        &self,
        base: &TimerSpec,
        base_is_valid: bool,
        limits: &Limits,
        report: &mut Report<'_>,
    ) -> Option<Timers> {
        self.note(self.spec.over(base).resolve(limits), base_is_valid, report)
    }

    fn note(
        &self,
        resolved: Result<Timers, Vec<OutOfRange>>,
        notes_absent: bool,
        report: &mut Report<'_>,
    ) -> Option<Timers> {
        for OutOfRange { field, fault } in resolved.as_ref().err().into_iter().flatten() {
            let written = self.field(*field);
            if written.is_some() || notes_absent {
                self.owner.note_in(written, fault.clone(), report);
            }
        }
        resolved.ok()
    }

    fn field(&self, field: TimerField) -> Option<&Field<'d>> {
        let of_keepalive = |name| self.keepalive.as_ref().and_then(|fields| fields.optional(name));
        match field {
            TimerField::Idle => of_keepalive("idle"),
            TimerField::Interval => of_keepalive("interval"),
            TimerField::Probes => of_keepalive("probes"),
            TimerField::UserTimeout => self.owner.optional("userTimeout"),
        }
    }
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
