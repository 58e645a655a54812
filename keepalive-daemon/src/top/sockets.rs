//! Connections as entries of a list.

use super::listing::{Cell, Column, Line};
use crate::report::sockets::{SocketRow, Timer, Verdict};

/// In the order of [`line()`].
pub(super) const COLUMNS: &[Column] = &[
    column("LOCAL", 4, false, "its end here"),
    column("REMOTE", 0, false, "its other end"),
    column("STATE", 6, false, "as `ss` names it"),
    column("DIRECTION", 7, false, "who connected: outbound, this end"),
    column("PROCESS", 3, false, "a process that holds it"),
    column("KEEP-ALIVE", 1, false, "idle, interval and probes, and the user timeout (ut)"),
    column("SET BY", 5, false, "whose values these are"),
    column("TIMER", 8, false, "the timer that runs, when it expires, and what went without an answer"),
    column("SILENT", 2, true, "for how long no data passed"),
];

/// The silence: what is forgotten first comes first.
pub(super) const FIRST_SORTED_BY: usize = 8;

const fn column(title: &'static str, importance: u8, is_number: bool, about: &'static str) -> Column {
    Column { title, importance, is_number, about }
}

pub(super) fn line(row: &SocketRow) -> Line {
    let text = |text: Option<&str>| text.map_or(Cell::Unknown, |text| Cell::Text(text.to_owned()));
    let process = row.process.as_ref().map(|process| format!("{} ({})", process.name, process.pid));
    let silent = [row.last_data_sent_milliseconds, row.last_data_received_milliseconds];
    // Where the kernel tells of one only, that is all there is to go by.
    let silent = silent.into_iter().flatten().min();
    let details = [
        Some(format!("why         {}", row.why)),
        row.policy.as_ref().map(|policy| format!("policy      {policy}")),
        row.cgroup.as_ref().map(|cgroup| format!("cgroup      {cgroup}")),
        row.last_ack_received_milliseconds.map(|ack| format!("last answer {} ago", age(ack))),
        Some(format!("network     {}", row.network)),
    ];
    Line {
        id: row.cookie.to_string(),
        cells: vec![
            Cell::Text(row.local.to_string()),
            Cell::Text(row.remote.to_string()),
            Cell::Text(row.state.clone()),
            text(row.direction.as_deref()),
            text(process.as_deref()),
            Cell::Text(row.options.text()),
            Cell::Text(set_by(row.verdict).to_owned()),
            row.timer.as_ref().map_or(Cell::Unknown, timer),
            silent.map_or(Cell::Unknown, |silent| Cell::Number(silent.into(), age(silent))),
        ],
        details: details.into_iter().flatten().collect(),
        is_trouble: row.verdict == Verdict::Off,
        scope: None,
    }
}

const fn set_by(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Policy => "policy",
        Verdict::Application => "application",
        Verdict::Off => "nobody",
        Verdict::Unknown => "unknown",
    }
}

fn timer(timer: &Timer) -> Cell {
    let Timer { kind, expires_milliseconds, unanswered } = timer;
    let expires = age(*expires_milliseconds);
    Cell::Text(match unanswered {
        0 => format!("{kind} {expires}"),
        unanswered => format!("{kind} {expires}, {unanswered} unanswered"),
    })
}

/// A time in two units at most, as wide as it has to be.
fn age(milliseconds: u32) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units_at_most() {
        for (milliseconds, told) in [
            (0, "0ms"),
            (999, "999ms"),
            (59_999, "59s"),
            (61_000, "1m01s"),
            (7_260_000, "2h01m"),
            (u32::MAX, "49d17h"),
        ] {
            assert_eq!(age(milliseconds), told);
        }
    }
}
