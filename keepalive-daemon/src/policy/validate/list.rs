//! Lists of texts, each of which has a meaning and is written once.

use std::collections::HashSet;

use crate::policy::diagnostic::{Fault, quote};
use crate::policy::fields::{Field, Report};

/// What a list of texts must be.
pub(super) struct Texts<'h> {
    /// What to write.
    pub(super) help: &'h str,
    /// What to write for one of them.
    pub(super) item_help: &'h str,
    /// What is wrong with a list without any.
    pub(super) empty: &'h str,
    /// How many there may be.
    pub(super) most: usize,
}

impl Texts<'_> {
    /// The items of the list in `field`, as `parse` reads them; mistakes are noted, and their items left out.
    pub(super) fn read<T>(
        &self,
        field: &Field<'_>,
        parse: impl Fn(&str) -> Result<T, Fault>,
        report: &mut Report<'_>,
    ) -> Option<Vec<T>> {
        let items = field.items(self.help, report)?;
        if items.is_empty() {
            field.note(Fault::new(self.empty, self.help), report);
        }
        check_count(field, items.len(), self.most, report)?;
        let mut parsed = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        for item in items {
            let Some(text) = item.text(self.item_help, report) else { continue };
            if seen.insert(text) {
                parsed.extend(item.accept(parse(text), report));
            } else {
                item.note(Fault::new(format!("{} is listed twice", quote(text)), "keep one of them"), report);
            }
        }
        Some(parsed)
    }
}

/// Notes that there are more than `most` of what `field` holds.
pub(super) fn check_count(
    field: &Field<'_>,
    count: usize,
    most: usize,
    report: &mut Report<'_>,
) -> Option<()> {
    if count <= most {
        return Some(());
    }
    field.note(Fault::new(format!("there are {count}"), format!("there may be {most}")), report);
    None
}
