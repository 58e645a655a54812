//! What this kernel can do, feature by feature.

use anyhow::Result;
use serde::Serialize;

use crate::{features::Feature, kernel};

/// A feature, and what came of trying it.
pub(super) type Tried = (Feature, Result<()>);

/// What is shown of a feature.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    name: Feature,
    present: bool,
    /// The first Linux that has it.
    since: String,
    /// The option that a kernel must be built with to have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    built_with: Option<&'static str>,
    /// What there is instead where it is not.
    without: &'static str,
    /// Why it is not there.
    note: String,
}

impl Found {
    fn new(feature: Feature, tried: Option<Result<()>>) -> Self {
        let note = match &tried {
            Some(Ok(())) => String::new(),
            Some(Err(error)) => format!("{error:#}"),
            None => format!("not tried: {}", super::CURE_FIRST),
        };
        Self {
            name: feature,
            present: matches!(tried, Some(Ok(()))),
            since: feature.since().to_string(),
            built_with: feature.built_with(),
            without: feature.without(),
            note,
        }
    }

    pub(super) const fn feature(&self) -> Feature {
        self.name
    }

    pub(super) const fn is_present(&self) -> bool {
        self.present
    }

    /// For the table: its name, whether it is there, since when, and what else there is to say.
    pub(super) fn row(&self) -> [String; 4] {
        let since = match self.built_with {
            Some(option) => format!("{} with {option}", self.since),
            None => self.since.clone(),
        };
        let words = if self.present { String::new() } else { format!("{}; {}", self.note, self.without) };
        let state = if self.present { "present" } else { "absent" };
        [self.name.name().to_owned(), state.to_owned(), since, words]
    }
}

/// Tries what needs no cgroup, and adds what the trial in one found, and the loading of programs that are not in it.
pub(super) fn all(of_trial: Vec<Tried>, of_loading: Option<Tried>) -> Vec<Found> {
    let mut tried = of_trial;
    tried.extend(of_loading);
    tried.extend([
        (Feature::Borrow, kernel::features::borrow()),
        (Feature::DeadPeers, kernel::features::notice_dead_peers()),
        (Feature::Mptcp, kernel::features::mptcp()),
        (Feature::Memory, kernel::features::memory()),
    ]);
    let mut found = Vec::new();
    for feature in Feature::ALL {
        let at = tried.iter().position(|(tried, _)| *tried == feature);
        found.push(Found::new(feature, at.map(|at| tried.swap_remove(at).1)));
    }
    found
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_is_absent_says_why_and_what_there_is_instead() {
        let row = Found::new(Feature::Memory, Some(Err(anyhow!("it is old")))).row();

        assert_eq!(row[..3], ["memory without a limit", "absent", "5.11"].map(str::to_owned));
        assert!(row[3].starts_with("it is old; RLIMIT_MEMLOCK must"), "{}", row[3]);
    }

    #[test]
    fn what_was_not_tried_is_not_taken_for_present() {
        let found = Found::new(Feature::SetOptions, None);

        assert!(!found.is_present() && found.note.starts_with("not tried"), "{}", found.note);
    }
}
