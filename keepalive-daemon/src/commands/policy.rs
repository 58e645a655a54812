//! `policy …`: what can be said of policies, with and without a daemon.

mod explain;
mod list;
mod validate;

use anyhow::Result;
use clap::Subcommand;

use super::failure::Verdict;

/// Work with policies.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Verb {
    List(list::Options),
    Explain(explain::Options),
    Validate(validate::Options),
}

/// Runs a verb.
pub(crate) fn run(verb: Verb) -> Result<Verdict> {
    match verb {
        Verb::List(options) => list::run(&options),
        Verb::Explain(options) => explain::run(options),
        Verb::Validate(options) => validate::run(&options),
    }
}
