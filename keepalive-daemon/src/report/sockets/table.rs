//! Connections as people read them.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{SocketRow, SocketSummary, Timer};
use crate::report::{ForPeople, Table, status::plural, sweep::Values};

/// A whole list.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sockets {
    pub(crate) sockets: Vec<SocketRow>,
    pub(crate) summary: SocketSummary,
}

impl Sockets {
    /// Puts what belongs together side by side.
    pub(crate) fn sorted(mut self) -> Self {
        self.sockets.sort_by(|one, other| {
            let key = |row: &SocketRow| (row.pod.clone(), row.cgroup.clone());
            key(one).cmp(&key(other)).then_with(|| (one.local, one.remote).cmp(&(other.local, other.remote)))
        });
        self
    }
}

/// Columns that a narrow screen goes without, from the first on: what remains says whether something is wrong, and why.
const DISPENSABLE: [&str; 7] =
    ["USER TIMEOUT", "IDLE SENT/RECEIVED", "DIRECTION", "STATE", "TIMER", "LOCAL", "PROCESS"];

/// What part of a screen a name may take.
const NAME_OF_SCREEN: usize = 5;

impl Sockets {
    fn with_summary(&self, table: &Table) -> String {
        let mut text = String::new();
        if !self.sockets.is_empty() {
            let _ = writeln!(text, "{table}");
        }
        text.push_str(&self.summary.for_people());
        text
    }
}

impl ForPeople for Sockets {
    fn for_people(&self) -> String {
        self.with_summary(&filled(header(&self.sockets), &self.sockets))
    }

    fn for_people_within(&self, columns: usize) -> String {
        let header = header(&self.sockets).with_names_of(columns / NAME_OF_SCREEN);
        self.with_summary(&filled(header, &self.sockets).within(columns, &DISPENSABLE))
    }
}

impl ForPeople for SocketSummary {
    fn for_people(&self) -> String {
        let Self { connections, policy, application, off, unknown, left_off, namespaces, .. } = self;
        let mut text = match connections {
            0 => "no connections".to_owned(),
            1 => "1 connection".to_owned(),
            more => format!("{more} connections"),
        };
        let parts = [
            (policy, "with the policy's values"),
            (application, "with the application's"),
            (off, "without keep-alive"),
            (unknown, "unknown"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(number, _)| **number > 0)
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        let _ = match parts.is_empty() {
            true => Ok(()),
            false => write!(text, ": {}", parts.join(", ")),
        };
        let _ = writeln!(text, "; looked through {}", plural(*namespaces, "network namespace"));
        if *left_off {
            text.push_str("there are more than these\n");
        }
        for it in &self.unreachable {
            let _ = writeln!(text, "not looked through: {it}");
        }
        for it in &self.missing {
            let _ = writeln!(text, "missing: {it}");
        }
        text
    }
}

fn header(sockets: &[SocketRow]) -> Table {
    let with_pods = sockets.iter().any(|row| row.pod.is_some());
    Table::new([
        if with_pods { "POD, OR CGROUP" } else { "CGROUP" },
        "PROCESS",
        "DIRECTION",
        "LOCAL",
        "REMOTE",
        "STATE",
        "KEEP-ALIVE",
        "TIMER",
        "IDLE SENT/RECEIVED",
        "USER TIMEOUT",
        "POLICY",
        "WHY",
    ])
}

fn filled(mut table: Table, sockets: &[SocketRow]) -> Table {
    for row in sockets {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let process = row.process.as_ref().map(|process| format!("{} ({})", process.name, process.pid));
        table.row([
            or_dash(row.pod.as_deref().or(row.cgroup.as_deref())),
            or_dash(process.as_deref()),
            or_dash(row.direction.as_deref()).to_lowercase(),
            row.local.to_string(),
            row.remote.to_string(),
            row.state.clone(),
            keepalive(&row.options),
            row.timer.as_ref().map_or_else(|| "-".to_owned(), timer),
            format!("{}/{}", ago(row.last_data_sent_milliseconds), ago(row.last_data_received_milliseconds)),
            row.options.user_timeout_milliseconds.map_or_else(|| "-".to_owned(), user_timeout),
            or_dash(row.policy.as_deref()),
            row.why.clone(),
        ]);
    }
    table
}

/// `60s/15s/4`, `off`, `on` if nothing more is known, and `-` if nothing is.
fn keepalive(options: &Values) -> String {
    match (options.keepalive, options.idle_seconds, options.interval_seconds, options.probes) {
        (Some(false), ..) => "off".to_owned(),
        (Some(true), Some(idle), Some(interval), Some(probes)) => format!("{idle}s/{interval}s/{probes}"),
        (Some(true), ..) => "on".to_owned(),
        (None, ..) => "-".to_owned(),
    }
}

/// `keepalive 59s`, `on 0.2s, 3 unanswered`.
fn timer(timer: &Timer) -> String {
    let mut text = format!("{} {}", timer.kind, ago(Some(timer.expires_milliseconds)));
    if timer.unanswered > 0 {
        let _ = write!(text, ", {} unanswered", timer.unanswered);
    }
    text
}

fn user_timeout(milliseconds: u32) -> String {
    if milliseconds == 0 { "none".to_owned() } else { ago(Some(milliseconds)) }
}

/// A time as `ss` shortens it: with tenths below ten seconds, and without spaces.
fn ago(milliseconds: Option<u32>) -> String {
    match milliseconds {
        None => "-".to_owned(),
        Some(milliseconds @ ..10_000) => {
            format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100)
        }
        Some(milliseconds) => {
            let whole = Duration::from_secs((milliseconds / 1000).into());
            humantime::format_duration(whole).to_string().replace(' ', "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sockets::{Process, Verdict};

    fn row(pod: Option<&str>, remote: &str) -> SocketRow {
        let (idle_seconds, interval_seconds, probes) = (Some(60), Some(15), Some(4));
        let user_timeout_milliseconds = Some(0);
        let keepalive = Some(true);
        SocketRow {
            cookie: 7,
            pod: pod.map(str::to_owned),
            cgroup: Some("app".to_owned()),
            network: "/proc/1/ns/net".to_owned(),
            network_id: "4:1".to_owned(),
            process: Some(Process { pid: 12, name: "java".to_owned() }),
            direction: Some("Outbound".to_owned()),
            local: std::net::SocketAddr::from(([10, 0, 0, 7], 41_234)),
            remote: remote.parse().unwrap_or(std::net::SocketAddr::from(([0; 4], 0))),
            state: "ESTAB".to_owned(),
            options: Values { keepalive, idle_seconds, interval_seconds, probes, user_timeout_milliseconds },
            timer: Some(Timer { kind: "keepalive".to_owned(), expires_milliseconds: 59_900, unanswered: 0 }),
            last_data_sent_milliseconds: Some(9_940),
            last_data_received_milliseconds: Some(125_000),
            last_ack_received_milliseconds: Some(1),
            policy: Some("p".to_owned()),
            verdict: Verdict::Policy,
            why: "Tighten: it has the policy's values".to_owned(),
        }
    }

    #[test]
    fn a_row_has_what_a_person_asks_for() {
        let sockets = [row(None, "10.0.0.9:5432")];

        let text = filled(header(&sockets), &sockets).to_string();

        let line = text.lines().nth(1).unwrap_or_default();
        let fields: Vec<&str> = line.split("   ").map(str::trim).filter(|field| !field.is_empty()).collect();
        assert_eq!(
            fields,
            [
                "app",
                "java (12)",
                "outbound",
                "10.0.0.7:41234",
                "10.0.0.9:5432",
                "ESTAB",
                "60s/15s/4",
                "keepalive 59s",
                "9.9s/2m5s",
                "none",
                "p",
                "Tighten: it has the policy's values"
            ]
        );
    }

    #[test]
    fn on_a_narrow_screen_the_policy_and_the_reason_are_still_there() {
        let sockets = [Some(&*"long/".repeat(40)), None].map(|pod| row(pod, "10.0.0.9:5432")).to_vec();
        let sockets = Sockets { sockets, summary: SocketSummary::default() };

        let narrow = sockets.for_people_within(80);

        let rows: Vec<&str> = narrow.lines().take_while(|line| !line.is_empty()).collect();
        assert!(rows.iter().all(|line| line.chars().count() <= 80), "{narrow}");
        let words: Vec<&str> = rows.iter().flat_map(|row| row.split_whitespace()).collect();
        let kept = ["10.0.0.9:5432", "60s/15s/4", "p", "Tighten:", "it", "has", "the", "policy's", "values"];
        assert!(kept.iter().all(|word| words.contains(word)) && !narrow.contains("ESTAB"), "{narrow}");
        assert_eq!(sockets.for_people_within(1000), sockets.for_people());
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_what_is_off_has_no_values() {
        let off = Values { keepalive: Some(false), idle_seconds: Some(7200), ..Values::default() };
        assert_eq!([keepalive(&off), keepalive(&Values::default())], ["off", "-"]);
        assert_eq!(keepalive(&Values { keepalive: Some(true), ..Values::default() }), "on");
        let timer = Timer { kind: "on".to_owned(), expires_milliseconds: 240, unanswered: 3 };
        assert_eq!(
            (super::timer(&timer).as_str(), user_timeout(120_000).as_str()),
            ("on 0.2s, 3 unanswered", "2m")
        );
    }

    #[test]
    fn connections_of_a_pod_are_side_by_side() {
        let sockets = [(Some("b/b"), "10.0.0.1:1"), (Some("a/a"), "10.0.0.3:1"), (Some("b/b"), "10.0.0.0:1")];
        let sockets = sockets.map(|(pod, remote)| row(pod, remote)).to_vec();

        let sorted = Sockets { sockets, summary: SocketSummary::default() }.sorted();

        let remotes: Vec<_> = sorted.sockets.iter().map(|row| row.remote.to_string()).collect();
        assert_eq!(remotes, ["10.0.0.3:1", "10.0.0.0:1", "10.0.0.1:1"]);
    }

    #[test]
    fn the_summary_says_what_there_is_and_what_is_missing() {
        let summary = SocketSummary {
            connections: 3,
            policy: 2,
            off: 1,
            left_off: true,
            namespaces: 1,
            missing: vec!["the options of 1 connection: why".to_owned()],
            ..SocketSummary::default()
        };

        assert_eq!(
            summary.for_people(),
            "3 connections: 2 with the policy's values, 1 without keep-alive; looked through 1 network namespace\n\
             there are more than these\nmissing: the options of 1 connection: why\n"
        );
    }
}
