//! `check`: verdicts over connections, and what would put them right.

use std::fmt::Write as _;

use serde::Serialize;

use super::{ForPeople, Table, status::plural};
use crate::check::{Cure, End, Group, Middlebox};

/// How many groups that are fine a person is shown: those that are not are what one looks for.
const MOST_FINE: usize = 20;

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checked {
    /// Whether nothing is wrong with any connection.
    pub(crate) fine: bool,
    /// What was taken to be on the way, besides the node itself.
    pub(crate) profiles: Vec<String>,
    /// What may be on the way, the strictest first.
    pub(crate) on_the_way: Vec<Middlebox>,
    /// Connections by what has them and where they go, the worst first.
    pub(crate) groups: Vec<CheckedGroup>,
    pub(crate) notes: Vec<String>,
    /// Policy documents that would help, to be put into a file of the policy directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
}

/// Connections of one pod or cgroup with one destination.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckedGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// Where outbound ones go; absent of inbound ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote: Option<String>,
    /// Where inbound ones come in; absent of outbound ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_port: Option<u16>,
    pub(crate) connections: u64,
    pub(crate) armed: u64,
    /// The shortest idle time of those that are armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shortest_idle_seconds: Option<u32>,
    /// The longest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longest_idle_seconds: Option<u32>,
    /// After how much silence the slowest of those that are armed finds that its peer is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead_peer_found_after_seconds: Option<u32>,
    /// The policies that govern them.
    pub(crate) policies: Vec<String>,
    /// `fine`, `warning` or `bad`.
    pub(crate) verdict: &'static str,
    /// What is wrong, the worst first.
    pub(crate) problems: Vec<CheckedProblem>,
    #[serde(skip)]
    end: String,
    #[serde(skip)]
    fine_because: String,
}

/// Something wrong with connections.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckedProblem {
    /// `cannotHelp`, `notArmed`, `tooSlow`, `tight`, `userTimeoutTooShort` or `unknown`.
    pub(crate) kind: &'static str,
    /// With how many of them.
    pub(crate) connections: u64,
    /// What forgets, or ends, them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Middlebox>,
    /// For people.
    pub(crate) why: String,
}

impl Checked {
    pub(crate) fn new(
        profiles: Vec<String>,
        on_the_way: Vec<&Middlebox>,
        groups: &[Group<'_>],
        cure: Cure,
        mut notes: Vec<String>,
    ) -> Self {
        let groups: Vec<_> = groups.iter().map(CheckedGroup::new).collect();
        let Cure { policy, notes: advice } = cure;
        notes.extend(advice);
        Self {
            fine: groups.iter().all(|group| group.problems.is_empty()),
            profiles,
            on_the_way: on_the_way.into_iter().cloned().collect(),
            groups,
            notes,
            policy,
        }
    }
}

impl CheckedGroup {
    fn new(group: &Group<'_>) -> Self {
        let problems = group.problems.iter().map(|(problem, connections)| CheckedProblem {
            kind: problem.name(),
            connections: *connections,
            cause: problem.cause().cloned(),
            why: problem.why(),
        });
        let (remote, local_port) = match group.end {
            End::Remote(remote) => (Some(remote.to_string()), None),
            End::LocalPort(port) => (None, Some(port)),
        };
        let fine_because = match group.strictest {
            Some(it) => format!("{} forgets it after {} s at the earliest", it.name, it.idle_timeout_seconds),
            None => "nothing that is known here forgets it".to_owned(),
        };
        Self {
            pod: group.pod.clone(),
            cgroup: group.cgroup.clone(),
            remote,
            local_port,
            connections: group.connections,
            armed: group.armed,
            shortest_idle_seconds: group.idle_seconds.map(|(shortest, _)| shortest),
            longest_idle_seconds: group.idle_seconds.map(|(_, longest)| longest),
            dead_peer_found_after_seconds: group.dead_peer_found_after_s,
            policies: group.policies.iter().cloned().collect(),
            verdict: group.level().name(),
            problems: problems.collect(),
            end: group.end.to_string(),
            fine_because,
        }
    }

    fn idle(&self) -> String {
        match (self.shortest_idle_seconds, self.longest_idle_seconds) {
            (Some(shortest), Some(longest)) if shortest == longest => format!("{shortest}s"),
            (Some(shortest), Some(longest)) => format!("{shortest}s-{longest}s"),
            _ => "-".to_owned(),
        }
    }

    fn why(&self) -> String {
        let one = |problem: &CheckedProblem| match problem.connections {
            some if some < self.connections => format!("{} of {}: {}", some, self.connections, problem.why),
            _ => problem.why.clone(),
        };
        match (&self.problems[..], self.dead_peer_found_after_seconds) {
            ([], Some(after)) => format!("{}; a dead peer is found after {after} s", self.fine_because),
            ([], None) => self.fine_because.clone(),
            (problems, _) => problems.iter().map(one).collect::<Vec<_>>().join("; "),
        }
    }
}

impl ForPeople for Checked {
    fn for_people(&self) -> String {
        let mut text = String::new();
        if self.groups.is_empty() {
            text.push_str("no connections\n");
        } else {
            let mut table =
                Table::new(["POD OR CGROUP", "CONNECTIONS", "ARMED", "IDLE", "WHERE", "VERDICT", "WHY"]);
            let wrong = self.groups.iter().filter(|group| !group.problems.is_empty()).count();
            for group in self.groups.iter().take(wrong + MOST_FINE) {
                let name = group.pod.as_deref().or(group.cgroup.as_deref()).unwrap_or("-");
                table.row([
                    name.to_owned(),
                    group.connections.to_string(),
                    group.armed.to_string(),
                    group.idle(),
                    group.end.clone(),
                    group.verdict.to_owned(),
                    group.why(),
                ]);
            }
            let verdict = if wrong == 0 { "all fine".to_owned() } else { format!("not fine: {wrong}") };
            let hidden = match self.groups.len().saturating_sub(wrong + MOST_FINE) {
                0 => String::new(),
                hidden => format!(" ({hidden} of those that are fine are not shown; `-o json` has all)"),
            };
            let _ =
                write!(text, "{table}\n{}, {verdict}{hidden}\n", plural(self.groups.len(), "destination"));
        }
        if !self.on_the_way.is_empty() {
            let mut table =
                Table::new(["MAY BE ON THE WAY", "FORGETS AFTER", "KEEP-ALIVE HELPS", "KNOWN FROM"]);
            for Middlebox { name, idle_timeout_seconds, keep_alive_helps, source, .. } in &self.on_the_way {
                let helps = if *keep_alive_helps { "yes" } else { "no" };
                table.row([
                    name.clone(),
                    format!("{idle_timeout_seconds}s"),
                    helps.to_owned(),
                    source.clone(),
                ]);
            }
            let _ = write!(text, "\n{table}");
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        if let Some(policy) = &self.policy {
            let _ = write!(text, "\nThis would help, in a file of the policy directory:\n\n{policy}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, problems: Vec<CheckedProblem>) -> CheckedGroup {
        CheckedGroup {
            pod: Some(name.to_owned()),
            cgroup: None,
            remote: Some("10.0.0.9:5432".to_owned()),
            local_port: None,
            connections: 5,
            armed: 3,
            shortest_idle_seconds: Some(60),
            longest_idle_seconds: Some(300),
            dead_peer_found_after_seconds: Some(360),
            policies: Vec::new(),
            verdict: if problems.is_empty() { "fine" } else { "bad" },
            problems,
            end: "to 10.0.0.9:5432".to_owned(),
            fine_because: "nothing forgets it".to_owned(),
        }
    }

    fn off() -> CheckedProblem {
        CheckedProblem { kind: "notArmed", connections: 2, cause: None, why: "keep-alive is off".to_owned() }
    }

    fn checked(groups: Vec<CheckedGroup>) -> Checked {
        let fine = groups.iter().all(|group| group.problems.is_empty());
        let (profiles, on_the_way) = (Vec::new(), Vec::new());
        Checked { fine, profiles, on_the_way, groups, notes: vec!["a note".to_owned()], policy: None }
    }

    #[test]
    fn a_person_reads_what_is_wrong_with_how_many_and_the_cure() {
        let policy = Some("kind: KeepalivePolicy\n".to_owned());
        let text = Checked { policy, ..checked(vec![group("shop/a", vec![off()]), group("shop/b", vec![])]) };

        let text = text.for_people();

        for line in [
            "shop/a          5             3       60s-300s   to 10.0.0.9:5432   bad       2 of 5: keep-alive is off",
            "shop/b          5             3       60s-300s   to 10.0.0.9:5432   fine      nothing forgets it; a dead peer is found after 360 s",
            "2 destinations, not fine: 1",
            "note: a note",
            "kind: KeepalivePolicy",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn of_what_is_fine_some_is_enough_and_of_what_is_not_all_is_shown() {
        let many = |problem: Option<CheckedProblem>| vec![group("shop/a", Vec::from_iter(problem)); 100];

        let text = checked([many(Some(off())), many(None)].concat()).for_people();

        assert_eq!(text.lines().filter(|line| line.contains(" bad ")).count(), 100);
        assert_eq!(text.lines().filter(|line| line.contains(" fine  ")).count(), MOST_FINE);
        assert!(
            text.contains("200 destinations, not fine: 100 (80 of those that are fine are not shown"),
            "{text}"
        );
        assert!(checked(Vec::new()).for_people().starts_with("no connections\n"));
    }

    #[test]
    fn programs_read_what_people_are_not_shown() {
        let json = serde_json::to_value(checked(vec![group("shop/a", vec![off()])])).unwrap_or_default();

        assert_eq!(json["fine"], false);
        assert_eq!(json["groups"][0]["problems"][0]["connections"], 2);
        assert_eq!(json["groups"][0]["shortestIdleSeconds"], 60);
        assert!(json.get("policy").is_none() && json["groups"][0].get("end").is_none(), "{json}");
    }
}
