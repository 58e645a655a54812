//! What a policy lets pods change.

use std::time::Duration;

use super::timers::{DURATION, PROBES, parsed};
use crate::policy::diagnostic::Fault;
use crate::policy::duration::parse_duration;
use crate::policy::fields::{Field, Fields, Report};
use crate::policy::{Limits, Overrides, Within, timers};

/// What `spec.podOverrides` says.
pub(super) fn read(field: &Field<'_>, limits: &Limits, report: &mut Report<'_>) -> Option<Overrides> {
    let fields = field.fields(&["optOut", "idle", "interval", "probes", "userTimeout"], report)?;
    let opt_out = fields.optional("optOut").map_or(Some(Overrides::default().opt_out), |field| {
        field.boolean("write whether a pod may opt out, as it may where nothing is said", report)
    });
    let mut durations = |name, check: &dyn Fn(Duration) -> Result<u32, Fault>| {
        within(&fields, name, ["min: 30s", "max: 5m"], report, |field, report| {
            let bound = parsed(field, parse_duration, DURATION, report)?;
            field.accept(check(bound), report).map(|_| bound)
        })
    };
    let idle = durations("idle", &|bound| timers::idle(bound, limits));
    let interval = durations("interval", &timers::interval);
    let user_timeout = durations("userTimeout", &timers::user_timeout);
    let probes = within(&fields, "probes", ["min: 2", "max: 9"], report, |field, report| {
        let bound = field.integer(PROBES, report)?;
        field.accept(timers::probes(bound), report).map(|_| bound)
    });
    Some(Overrides { opt_out: opt_out?, idle, interval, probes, user_timeout })
}

/// The bounds in the field `name`; `None` if there are none, or not as they should be. Both ends must be
/// written: one that is left out would be found by the pods that nobody had in mind.
fn within<T: PartialOrd>(
    fields: &Fields<'_>,
    name: &str,
    examples: [&str; 2],
    report: &mut Report<'_>,
    bound: impl Fn(&Field<'_>, &mut Report<'_>) -> Option<T>,
) -> Option<Within<T>> {
    let field = fields.optional(name)?;
    let ends = field.fields(&["min", "max"], report)?;
    let mut end = |name, example| ends.required(name, example, report).and_then(|field| bound(field, report));
    let (min, max) = (end("min", examples[0]), end("max", examples[1]));
    let within = Within { min: min?, max: max? };
    if within.min > within.max {
        field.note(Fault::new("`min` is more than `max`", "write the smaller one as `min`"), report);
        return None;
    }
    Some(within)
}
