//! What somebody says is on the way.

use std::collections::BTreeSet;

use super::{
    Catalogue, Middlebox,
    catalogue::{Entry, Helps},
};
use crate::facts::Machine;

/// The profile that is found out.
pub(crate) const AUTO: &str = "auto";

/// A word that is neither a profile nor a middlebox.
#[derive(Debug, thiserror::Error)]
#[error("there is no profile or middlebox {word:?}; there are {AUTO}, {}", .known.join(", "))]
pub(crate) struct UnknownProfile {
    word: String,
    known: Vec<String>,
}

/// What is taken to be on the way of every connection that leaves the machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    /// The profiles and middleboxes that were named, or found.
    pub(crate) profiles: Vec<String>,
    pub(crate) middleboxes: Vec<Middlebox>,
    /// What to say of it.
    pub(crate) notes: Vec<String>,
}

/// Sees whether the catalogue has all of these words, which takes no daemon.
///
/// # Errors
/// If it has not.
pub(crate) fn look_up(catalogue: &Catalogue, words: &[String]) -> Result<(), UnknownProfile> {
    let known: BTreeSet<_> = catalogue
        .entries()
        .iter()
        .flat_map(|Entry { id, profiles, .. }| profiles.iter().chain([id]))
        .collect();
    match words.iter().find(|word| *word != AUTO && !known.contains(word)) {
        None => Ok(()),
        Some(word) => Err(UnknownProfile { word: word.clone(), known: known.into_iter().cloned().collect() }),
    }
}

impl Chosen {
    /// What these words, which were looked at by [`look_up`], stand for on this machine.
    pub(crate) fn new(catalogue: &Catalogue, words: &[String], machine: &Machine) -> Self {
        let mut chosen = Self::default();
        for word in words {
            if word == AUTO {
                chosen.find(catalogue, machine);
            } else {
                chosen.add(catalogue, word);
            }
        }
        chosen
    }

    fn find(&mut self, catalogue: &Catalogue, machine: &Machine) {
        let Some(cloud) = &machine.cloud else {
            self.notes.push(
                "no cloud is recognised by what the machine says of itself, so that only the node's own connection \
                 tracking is known; name what else is on the way with --profile"
                    .to_owned(),
            );
            return;
        };
        if self.add(catalogue, cloud) {
            let vendor = machine.vendor.as_deref().unwrap_or("its vendor");
            self.notes.push(format!("the machine says that it is of {vendor}: taken for --profile {cloud}"));
        }
    }

    /// Adds what a word stands for; `false` if that is nothing.
    fn add(&mut self, catalogue: &Catalogue, word: &str) -> bool {
        if self.profiles.iter().any(|known| known == word) {
            return true;
        }
        let mut is_known = false;
        for entry in catalogue.entries() {
            let is_named = entry.id == word;
            if !is_named && !entry.profiles.iter().any(|profile| profile == word) {
                continue;
            }
            is_known = true;
            if is_named || entry.assumed {
                let middlebox = entry.middlebox();
                if !self.middleboxes.contains(&middlebox) {
                    self.middleboxes.push(middlebox);
                }
            } else {
                self.notes.push(mention(entry));
            }
        }
        if is_known {
            self.profiles.push(word.to_owned());
        }
        is_known
    }
}

fn mention(entry: &Entry) -> String {
    let Entry { id, name, idle_timeout_seconds, keep_alive_helps, .. } = entry;
    let helps = match keep_alive_helps {
        Helps::Yes => "",
        Helps::No => ", and keep-alive does not help, for it counts bytes only",
    };
    format!(
        "not taken for granted: {name} ({idle_timeout_seconds} s{helps}); if it is on the way, --profile {id}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str], cloud: Option<&str>) -> Result<Chosen, UnknownProfile> {
        let catalogue = Catalogue::built_in().expect("what is built in can be read");
        let machine = Machine { cloud: cloud.map(str::to_owned), ..Machine::default() };
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        look_up(&catalogue, &words).map(|()| Chosen::new(&catalogue, &words, &machine))
    }

    #[test]
    fn a_profile_stands_for_what_is_assumed_of_it_and_mentions_the_rest() {
        let chosen = chosen(&["azure", "aws"], None).expect("both are known");

        assert_eq!(chosen.profiles, ["azure", "aws"]);
        assert_eq!(chosen.middleboxes.iter().map(|it| it.idle_timeout_seconds).min(), Some(240));
        assert!(chosen.middleboxes.iter().all(|it| it.keep_alive_helps));
        assert!(chosen.notes.iter().any(|note| note.contains("--profile aws-alb")), "{:?}", chosen.notes);
    }

    #[test]
    fn a_middlebox_is_chosen_by_its_id() {
        let chosen = chosen(&["aws-alb", "aws-alb"], None).expect("it is known");

        assert_eq!(chosen.middleboxes.len(), 1);
        assert!(!chosen.middleboxes[0].keep_alive_helps);
    }

    #[test]
    fn the_cloud_is_found_and_where_there_is_none_that_is_said() {
        let found = chosen(&["auto"], Some("gcp")).expect("auto is always known");
        let none = chosen(&["auto"], None).expect("auto is always known");

        assert_eq!(found.profiles, ["gcp"]);
        assert!(found.notes[0].contains("not taken for granted") || found.notes[0].contains("--profile gcp"));
        assert!(none.middleboxes.is_empty() && none.notes[0].contains("--profile"), "{:?}", none.notes);
    }

    #[test]
    fn an_unknown_word_is_answered_with_those_that_are_known() {
        let error = chosen(&["amazon"], None).expect_err("nobody calls it so").to_string();

        assert!(["\"amazon\"", "auto, ", "aws, ", "azure-nat-gateway"].iter().all(|it| error.contains(it)));
    }
}
