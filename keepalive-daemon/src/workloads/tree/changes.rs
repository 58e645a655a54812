//! What changed in the tree, for those who need not look at all of it again.

use std::collections::BTreeSet;

/// So many changes, and it takes no longer to look at everything: nor is there more to keep, if nobody asks.
const MOST: usize = 1000;

/// What changed since somebody asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// Anything may have.
    Any,
    /// Nothing else than this.
    Only {
        /// The paths where cgroups were made; some may be gone again.
        made: BTreeSet<String>,
        /// The ids of those that are gone.
        gone: BTreeSet<u64>,
    },
}

impl Default for Changes {
    fn default() -> Self {
        Self::Only { made: BTreeSet::new(), gone: BTreeSet::new() }
    }
}

impl Changes {
    pub(super) fn made(&mut self, path: &str) {
        if let Self::Only { made, .. } = self {
            made.insert(path.to_owned());
        }
        self.limit();
    }

    pub(super) fn gone(&mut self, id: u64) {
        if let Self::Only { gone, .. } = self {
            gone.insert(id);
        }
        self.limit();
    }

    fn limit(&mut self) {
        if let Self::Only { made, gone } = self
            && made.len() + gone.len() > MOST
        {
            *self = Self::Any;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    #[test]
    fn what_is_taken_is_told_once() {
        let mut changes = Changes::default();
        changes.made("a");
        changes.gone(7);

        let [first, second] = [mem::take(&mut changes), mem::take(&mut changes)];

        let only = Changes::Only { made: BTreeSet::from(["a".to_owned()]), gone: BTreeSet::from([7]) };
        assert_eq!((first, second), (only, Changes::default()));
    }

    #[test]
    fn of_too_many_it_is_told_that_anything_may_have_changed_until_they_are_taken() {
        let mut changes = Changes::default();
        (0..=MOST as u64).for_each(|id| changes.gone(id));
        changes.made("a");
        assert_eq!(mem::take(&mut changes), Changes::Any);
        assert_eq!(changes, Changes::default());
    }
}
