//! What is odd about single cgroups, told once of each, and of few at a time: whoever may make cgroups, as one does to
//! whom a part of the tree was delegated, must not be able to fill the log with their names. Pure.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// So many are told of from one full scan to the next.
const MOST: usize = 10;
/// So many are remembered, so that they are not told of again.
const MOST_REMEMBERED: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Oddities {
    told: HashSet<PathBuf>,
    since_scan: usize,
}

impl Oddities {
    /// Begins a full scan.
    pub(super) fn begin_scan(&mut self) {
        self.since_scan = 0;
    }

    /// Whether somebody is to be told of this one.
    pub(super) fn is_news(&mut self, directory: &Path) -> bool {
        if self.since_scan >= MOST || self.told.len() >= MOST_REMEMBERED {
            return false;
        }
        let is_news = self.told.insert(directory.to_owned());
        self.since_scan += usize::from(is_news);
        is_news
    }

    /// It is gone; another of its name is another.
    pub(super) fn forget(&mut self, directory: &Path) {
        self.told.remove(directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_once_and_few_at_a_time() {
        let mut oddities = Oddities::default();
        let path = |number: usize| PathBuf::from(number.to_string());
        assert_eq!([0, 0].map(|number| oddities.is_news(&path(number))), [true, false]);
        let made_anew = (0..1000).filter(|_| {
            oddities.forget(&path(1));
            oddities.is_news(&path(1))
        });
        assert_eq!(made_anew.count(), MOST - 1, "one that comes and goes is told of no more often");

        oddities.begin_scan();

        assert!(!oddities.is_news(&path(0)), "it was told of");
        assert!(oddities.is_news(&path(2)));
    }
}
