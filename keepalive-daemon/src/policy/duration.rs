//! Durations as people write them.

use std::time::Duration;

use super::diagnostic::{Fault, quote};

/// Reads a duration such as `60s`, `2m`, `1h` or `1m30s`.
///
/// # Errors
///
/// When it has no unit: whether `60` is meant in seconds or milliseconds is not ours to guess. When it is not
/// a duration at all.
pub fn parse_duration(text: &str) -> Result<Duration, Fault> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::new(
            format!("{} has no unit", quote(text)),
            format!("write {}", quote(&(text.to_owned() + "s"))),
        ));
    }
    humantime::parse_duration(text).map_err(|_| {
        Fault::new(
            format!("{} is not a duration", quote(text)),
            "write a number and its unit, such as `60s`, `2m`, `1h` or `1m30s`",
        )
    })
}

/// `duration` in the largest of seconds, milliseconds and nanoseconds that shows it whole, so that a number
/// can be compared with the limits beside it.
pub(super) fn show(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanos if nanos.is_multiple_of(1_000_000) => format!("{}ms", duration.as_millis()),
        _ => format!("{}ns", duration.as_nanos()),
    }
}
