//! How a client fared, and whether it is what the story tells.

use std::fmt::Write;
use std::time::Duration;

use super::half::Half;
use crate::lab::story::{ClientKind, Ending, Outcome};

/// What was seen of one client in one half.
#[derive(Debug, Clone)]
pub(super) struct Report {
    half: Half,
    client: ClientKind,
    /// What was left on the keep-alive timer when the socket was looked at; the inner `None` is no timer.
    pub(super) keepalive: Option<Option<Duration>>,
    /// How many probes its kernel sent.
    pub(super) probes: u32,
    /// Whether the NAT knew the connection when the server answered.
    pub(super) nat_at_answer: Option<Memory>,
    /// How the request ended.
    pub(super) outcome: Option<Outcome>,
}

/// What the NAT knows of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// It is in the table.
    Kept,
    /// It is not.
    Lost,
}

impl Report {
    pub(super) fn new(half: Half, client: ClientKind) -> Self {
        Self { half, client, keepalive: None, probes: 0, nat_at_answer: None, outcome: None }
    }

    /// What differs from the story: a client with keep-alive each `idle` seconds gets its answer, one without
    /// hangs although the server has answered.
    pub(super) fn deviations(&self, idle: u32) -> Vec<String> {
        let armed =
            self.half == Half::Guarded || matches!(self.client, ClientKind::Curl { keepalive: Some(_) });
        let timer_as_told = match self.keepalive {
            Some(Some(left)) => armed && left <= Duration::from_secs(idle.into()),
            Some(None) => !armed,
            None => false,
        };
        let ending = if armed { Ending::Answered } else { Ending::TimedOut };
        let memory = if armed { Memory::Kept } else { Memory::Lost };
        let checks = [
            (timer_as_told, "keep-alive timer", self.timer()),
            ((self.probes > 0) == armed, "probes on the wire", self.probes.to_string()),
            (self.nat_at_answer == Some(memory), "the NAT at the answer", self.memory().to_owned()),
            (
                self.outcome.as_ref().is_some_and(|outcome| outcome.server_answered),
                "the server's answer",
                "none".into(),
            ),
            (self.outcome.as_ref().is_some_and(|outcome| outcome.ending == ending), "the end", self.end()),
        ];
        let who = format!("{}, {}", self.client.label(), self.when());
        let wrong = checks.into_iter().filter(|(as_told, ..)| !as_told);
        wrong.map(|(_, what, seen)| format!("{who}: {what}: {seen}")).collect()
    }

    fn when(&self) -> &'static str {
        match self.half {
            Half::Bare => "without policy",
            Half::Guarded => "with policy",
        }
    }

    fn timer(&self) -> String {
        match self.keepalive {
            Some(Some(left)) => format!("{:.1} s left", left.as_secs_f32()),
            Some(None) => "none".to_owned(),
            None => "not seen".to_owned(),
        }
    }

    fn memory(&self) -> &'static str {
        match self.nat_at_answer {
            Some(Memory::Kept) => "remembered",
            Some(Memory::Lost) => "forgotten",
            None => "not seen",
        }
    }

    fn end(&self) -> String {
        let Some(outcome) = &self.outcome else { return "not seen".to_owned() };
        let waited = outcome.waited.as_secs_f32();
        match &outcome.ending {
            Ending::Answered => format!("answer after {waited:.1} s"),
            Ending::TimedOut => format!("hung until its timeout, {waited:.1} s"),
            Ending::Failed(why) => why.clone(),
        }
    }

    fn cells(&self) -> [String; 6] {
        let texts = [self.when(), self.client.label(), self.memory()].map(str::to_owned);
        let [when, client, memory] = texts;
        [when, client, self.timer(), self.probes.to_string(), memory, self.end()]
    }
}

/// All reports, for people.
pub(super) fn table(reports: &[Report]) -> String {
    let header = ["", "client", "keep-alive timer", "probes", "NAT at the answer", "the client's end"];
    let rows: Vec<_> =
        std::iter::once(header.map(str::to_owned)).chain(reports.iter().map(Report::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:<width$}   ", width = width(column));
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table.truncate(table.trim_end().len());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(half: Half, client: ClientKind, armed: bool) -> Report {
        let ending = if armed { Ending::Answered } else { Ending::TimedOut };
        Report {
            half,
            client,
            keepalive: Some(armed.then(|| Duration::from_millis(1900))),
            probes: if armed { 4 } else { 0 },
            nat_at_answer: Some(if armed { Memory::Kept } else { Memory::Lost }),
            outcome: Some(Outcome { ending, server_answered: true, waited: Duration::from_secs(9) }),
        }
    }

    #[test]
    fn a_story_as_told_has_no_deviations() {
        let curl = ClientKind::Curl { keepalive: Some(2) };

        assert_eq!(told(Half::Bare, ClientKind::Jvm, false).deviations(2), [""; 0]);
        assert_eq!(told(Half::Bare, curl, true).deviations(2), [""; 0]);
        assert_eq!(told(Half::Guarded, ClientKind::Jvm, true).deviations(2), [""; 0]);
    }

    #[test]
    fn a_client_that_hangs_in_spite_of_the_policy_is_a_deviation_in_every_respect() {
        let deviations = told(Half::Guarded, ClientKind::Jvm, false).deviations(2);

        assert_eq!(
            deviations,
            [
                "JVM, with policy: keep-alive timer: none",
                "JVM, with policy: probes on the wire: 0",
                "JVM, with policy: the NAT at the answer: forgotten",
                "JVM, with policy: the end: hung until its timeout, 9.0 s",
            ]
        );
    }

    #[test]
    fn a_timer_longer_than_the_policy_is_a_deviation() {
        let mut report = told(Half::Guarded, ClientKind::Jvm, true);
        report.keepalive = Some(Some(Duration::from_secs(7200)));

        assert_eq!(report.deviations(2), ["JVM, with policy: keep-alive timer: 7200.0 s left"]);
    }

    #[test]
    fn a_server_that_did_not_answer_is_a_deviation() {
        let mut report = told(Half::Bare, ClientKind::Jvm, false);
        report.outcome = report.outcome.map(|outcome| Outcome { server_answered: false, ..outcome });

        assert_eq!(report.deviations(2), ["JVM, without policy: the server's answer: none"]);
    }

    #[test]
    fn the_columns_of_the_table_stand_below_each_other() {
        let reports =
            [told(Half::Bare, ClientKind::Jvm, false), told(Half::Guarded, ClientKind::Static, true)];

        let table = table(&reports);

        let ends: Vec<_> =
            table.lines().map(|line| line.find("forgotten").or(line.find("remembered"))).collect();
        assert!(ends[1].is_some() && ends[1] == ends[2], "{table}");
    }
}
