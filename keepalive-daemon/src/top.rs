//! `top`: a live view of the governed cgroups, and of the connections of one of them.
//!
//! This is what is seen and how it is drawn, without IO: [`Top`] hears of keys and of [`News`], and says which
//! [`Question`] to ask the daemon.

mod cgroups;
mod draw;
mod header;
mod keys;
mod listing;
mod sockets;

use std::time::Instant;

use crate::report::{
    sockets::{SocketRow, SocketSummary},
    status::{Status, plural},
};
use cgroups::Counted;
use header::Header;
use listing::Listing;

pub(crate) use draw::draw;

/// The most connections that are asked for of a cgroup: more than anybody scrolls through, and little to sort.
pub(crate) const MOST_CONNECTIONS: u64 = 10_000;

/// What the view is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The governed cgroups.
    Cgroups,
    /// And the connections of one of them, and of those below it.
    Connections(Scope),
}

/// Whose connections are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The pod whose cgroup it is, as `NAMESPACE/NAME`.
    pub(crate) pod: Option<String>,
    /// The path of the cgroup.
    pub(crate) cgroup: String,
}

/// What came of asking. What is an error is for people.
pub(crate) enum News {
    Status(Result<Box<Status>, String>),
    Connections(Scope, Result<Connections, String>),
}

/// The connections of a cgroup.
#[derive(Default)]
pub(crate) struct Connections {
    pub(crate) rows: Vec<SocketRow>,
    pub(crate) summary: SocketSummary,
}

/// What is on the screen.
pub(crate) struct Top {
    header: Header,
    cgroups: Listing,
    /// What the last picture counted, for the rates of the next.
    counted: Option<Counted>,
    inside: Option<Inside>,
    /// Whether the keys are text for the filter.
    edits: bool,
    helps: bool,
    paused: bool,
    over: bool,
}

/// The connections of the cgroup that was gone into.
struct Inside {
    scope: Scope,
    listing: Listing,
    /// Why they are not known, or not all of them.
    note: Option<String>,
}

impl Top {
    pub(crate) fn new() -> Self {
        Self {
            header: Header::default(),
            cgroups: Listing::new(cgroups::COLUMNS, cgroups::FIRST_SORTED_BY),
            counted: None,
            inside: None,
            edits: false,
            helps: false,
            paused: false,
            over: false,
        }
    }

    /// What is to be asked; changes with keys only.
    pub(crate) fn question(&self) -> Question {
        self.inside.as_ref().map_or(Question::Cgroups, |inside| Question::Connections(inside.scope.clone()))
    }

    /// Whether somebody had enough.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Shows what was found, at `now`; nothing while it is paused.
    pub(crate) fn hear(&mut self, news: News, now: Instant) {
        if self.paused {
            return;
        }
        match news {
            News::Status(Ok(status)) => {
                let counted = Counted::of(&status, now);
                let lines = cgroups::lines(&status, self.counted.as_ref(), &counted);
                self.header.well(&status, self.counted.as_ref(), &counted);
                self.cgroups.replace(lines);
                self.counted = Some(counted);
            }
            News::Status(Err(trouble)) => self.header.lost(trouble),
            News::Connections(scope, found) => {
                // That of a cgroup that was left meanwhile is of no use.
                if let Some(inside) = self.inside.as_mut().filter(|inside| inside.scope == scope) {
                    inside.show(found);
                }
            }
        }
    }

    fn listing(&mut self) -> &mut Listing {
        self.inside.as_mut().map_or(&mut self.cgroups, |inside| &mut inside.listing)
    }

    /// Goes into the selected cgroup.
    fn enter(&mut self) {
        if self.inside.is_some() {
            return;
        }
        self.inside = self.cgroups.selected().and_then(|line| line.scope.clone()).map(|scope| Inside {
            scope,
            listing: Listing::new(sockets::COLUMNS, sockets::FIRST_SORTED_BY),
            note: Some("asking for them\u{2026}".to_owned()),
        });
        // Of these nothing is known that could be looked at meanwhile.
        self.paused &= self.inside.is_none();
    }
}

impl Inside {
    fn show(&mut self, found: Result<Connections, String>) {
        match found {
            Ok(Connections { rows, summary }) => {
                self.listing.replace(rows.iter().map(sockets::line).collect());
                let first = summary.left_off.then(|| format!("only the first {}", rows.len()));
                // `status` names them, and why.
                let unreachable = (!summary.unreachable.is_empty()).then(|| {
                    format!("{} out of reach", plural(summary.unreachable.len(), "network namespace"))
                });
                let notes = first.into_iter().chain(unreachable).chain(summary.missing);
                self.note = Some(notes.collect::<Vec<_>>().join("; "));
            }
            // What was known is worth more than nothing.
            Err(trouble) => self.note = Some(trouble),
        }
    }
}

#[cfg(test)]
mod tests;
