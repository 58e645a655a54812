//! What the command line prints: a table for people, JSON or YAML for programs. The only module that writes to
//! standard output.

pub(crate) mod applied;
pub(crate) mod check;
pub(crate) mod counters;
pub(crate) mod events;
pub(crate) mod explanation;
pub(crate) mod health;
pub(crate) mod helped;
pub(crate) mod in_force;
mod live;
pub(crate) mod open_connections;
pub(crate) mod policies;
pub(crate) mod sockets;
pub(crate) mod status;
pub(crate) mod sweep;
mod table;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::Serialize;

pub(crate) use live::redraw;
pub(crate) use table::{Table, printable};

/// How a listing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs; one JSON document.
    Json,
    /// For programs and people; one YAML document.
    Yaml,
}

/// Something with a form for people.
pub(crate) trait ForPeople {
    fn for_people(&self) -> String;

    /// The same for a screen of so many columns, where what is to the right of that is lost.
    fn for_people_within(&self, _columns: usize) -> String {
        self.for_people()
    }
}

/// Prints a listing.
pub(crate) fn print<T: Serialize + ForPeople>(listing: &T, output: Output) -> Result<()> {
    print_text(&text(listing, output)?)
}

/// A listing as it is printed.
fn text<T: Serialize + ForPeople>(listing: &T, output: Output) -> Result<String> {
    Ok(match output {
        Output::Table => printable_lines(listing.for_people().trim_end()),
        Output::Json => serde_json::to_string_pretty(listing)?,
        Output::Yaml => serde_saphyr::to_string(listing).context("cannot write YAML")?.trim_end().to_owned(),
    })
}

/// Prints one of the items of a listing that does not end: a line, a line of JSON, or a YAML document.
pub(crate) fn print_item<T: Serialize + ForPeople>(item: &T, output: Output) -> Result<()> {
    match output {
        Output::Table => print_text(&printable_lines(&item.for_people())),
        Output::Json => print_text(&serde_json::to_string(item)?),
        Output::Yaml => {
            let document = serde_saphyr::to_string(item).context("cannot write YAML")?;
            print_text(&format!("---\n{}", document.trim_end()))
        }
    }
}

/// Lines for a terminal: whoever names a pod or a cgroup must not be able to write to it.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Prints a line, or several. A reader that has gone away (`status | head`) wanted no more.
pub(crate) fn print_text(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pod_is_called_cannot_write_to_the_terminal() {
        assert_eq!(printable_lines("pod a\u{1b}[2Jb\r\nnext"), "pod a\\u{1b}[2Jb\\r\nnext");
    }
}
