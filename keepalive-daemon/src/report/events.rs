//! What happened, as `events` tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ForPeople, Table};
use crate::journal::{Event, Record};

/// A line of what the daemon tells.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Line {
    /// So many events before the next one are no longer held.
    Missed {
        missed: u64,
    },
    /// The number that was asked for is one that this daemon has not reached: an earlier one's. All that this one holds
    /// follows.
    #[serde(rename_all = "camelCase")]
    NotReached {
        not_reached: u64,
    },
    Event(Box<Record>),
}

/// Events, in their order.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Events {
    /// How many that were asked for are no longer held.
    pub(crate) missed: u64,
    /// The number that was asked for, if it is of an earlier daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_reached: Option<u64>,
    pub(crate) events: Vec<Record>,
}

impl Events {
    pub(crate) fn add(&mut self, line: Line) {
        match line {
            Line::Missed { missed } => self.missed += missed,
            Line::NotReached { not_reached } => self.not_reached = Some(not_reached),
            Line::Event(record) => self.events.push(*record),
        }
    }
}

impl ForPeople for Events {
    fn for_people(&self) -> String {
        let mut table = Table::new(["NUMBER", "TIME", "POD, OR CGROUP", "POLICY", "EVENT"]);
        for record in &self.events {
            let Event { pod, cgroup, policy, .. } = &record.event;
            let [subject, policy] = [pod.as_ref().or(cgroup.as_ref()), policy.as_ref()]
                .map(|cell| cell.cloned().unwrap_or_else(|| "-".to_owned()));
            table.row([record.sequence.to_string(), record.time.clone(), subject, policy, what(record)]);
        }
        let text = match (self.missed, self.events.is_empty()) {
            (0, true) => "nothing happened, or not since then".to_owned(),
            (0, false) => table.to_string(),
            (missed, _) => format!("{}\n{table}", missed_text(missed)),
        };
        let not_reached = self.not_reached.map(|number| not_reached_text(number) + "\n");
        not_reached.unwrap_or_default() + &text
    }
}

/// Widths of the columns of lines that are printed as they come: what is longer shifts the rest of its line.
const WIDTHS: [usize; 3] = [24, 32, 16];

impl ForPeople for Line {
    fn for_people(&self) -> String {
        let record = match self {
            Self::Missed { missed } => return missed_text(*missed),
            Self::NotReached { not_reached } => return not_reached_text(*not_reached),
            Self::Event(record) => record,
        };
        let Event { pod, cgroup, policy, .. } = &record.event;
        let subject = pod.as_deref().or(cgroup.as_deref()).unwrap_or("-");
        let policy = policy.as_deref().unwrap_or("-");
        let [time, wide, narrow] = WIDTHS;
        format!("{:time$}   {subject:wide$}   {policy:narrow$}   {}", record.time, what(record))
    }
}

fn missed_text(missed: u64) -> String {
    format!("({missed} earlier ones are no longer held)")
}

fn not_reached_text(number: u64) -> String {
    format!("(number {number} is of an earlier daemon; this is all of the one that runs now)")
}

/// What happened, in one line.
fn what(record: &Record) -> String {
    let Record { times, event, .. } = record;
    let mut text = event.message();
    if *times > 1 {
        text.push_str(&format!(" {times} times"));
    }
    let named = [&event.runtime, &event.annotation, &event.option, &event.remote];
    for name in named.into_iter().flatten() {
        text.push_str(&format!(" {name}"));
    }
    let counts = event.counts.named().map(|(name, count)| format!("{count} {name}"));
    let policies = event.policies.filter(|_| event.reason.is_none());
    let policies = policies.map(|policies| super::status::plural(policies, "policy").replace("ys", "ies"));
    let counts: Vec<String> = policies.into_iter().chain(counts).collect();
    if !counts.is_empty() {
        text.push_str(&format!(": {}", counts.join(", ")));
    }
    let reason = event.reason.as_ref().filter(|_| !event.tells_reason());
    for more in [reason, event.error.as_ref()].into_iter().flatten() {
        text.push_str(&format!(": {more}"));
    }
    if let Some(why) = &event.why {
        text.push_str(&format!(" ({why})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Counts, Kind};

    fn record(times: u64, event: Event) -> Record {
        Record { sequence: 7, time: "2026-01-01T00:00:00.000Z".to_owned(), times, event }
    }

    #[test]
    fn a_line_says_what_happened_to_what_how_often_and_why() {
        let counts = Counts { refused: Some(3), ..Counts::default() };
        let refused = Event {
            pod: Some("shop/web".to_owned()),
            option: Some("TCP_KEEPIDLE".to_owned()),
            error: Some("EINVAL: Invalid argument".to_owned()),
            counts,
            ..Event::new(Kind::OptionRefused)
        };

        assert_eq!(
            what(&record(2, refused)),
            "the kernel refused an option of connections 2 times TCP_KEEPIDLE: 3 refused: EINVAL: Invalid argument"
        );
        let read = Event { policies: Some(2), ..Event::new(Kind::PoliciesRead) };
        assert_eq!(what(&record(1, read)), "read the policies: 2 policies");
        let attached = Event::new(Kind::Attached).because("the daemon started");
        assert_eq!(what(&record(1, attached)), "attached (the daemon started)");
    }

    #[test]
    fn a_line_is_read_back_as_what_it_was() {
        let lines =
            [Line::Missed { missed: 3 }, Line::Event(Box::new(record(1, Event::new(Kind::Detached))))];

        let mut events = Events::default();
        for line in &lines {
            let text = serde_json::to_string(line).expect("it can be written");
            events.add(serde_json::from_str(&text).expect("it can be read"));
        }

        assert_eq!((events.missed, events.events.len()), (3, 1));
        assert_eq!(events.events[0].event.kind, Kind::Detached);
        assert!(events.for_people().starts_with("(3 earlier ones are no longer held)\nNUMBER"));
    }

    #[test]
    fn a_number_of_an_earlier_daemon_is_told_as_that() {
        let line: Line = serde_json::from_str(r#"{"notReached": 5000}"#).expect("it can be read");
        let mut events = Events::default();
        events.add(line);
        events.add(Line::Event(Box::new(record(1, Event::new(Kind::Detached)))));

        let text = events.for_people();

        assert!(
            text.starts_with("(number 5000 is of an earlier daemon;") && text.contains("\nNUMBER"),
            "{text}"
        );
        assert_eq!(serde_json::to_value(&events).map(|it| it["notReached"].clone()).ok(), Some(5000.into()));
    }
}
