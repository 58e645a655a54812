//! The programs one by one, as this kernel takes them.

use anyhow::{Result, anyhow};
use keepalive_ebpf::PROGRAM_WITH_LOG;
use serde::Serialize;

use super::features::Tried;
use crate::{
    features::Feature,
    kernel::{self, Verified},
};

/// A program.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Program {
    name: &'static str,
    #[serde(flatten)]
    verified: Option<Verified>,
    /// Why the kernel does not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Program {
    /// Whether there can be a log of connections: the program that writes it is the longest to verify, and not loaded
    /// twice.
    pub(super) fn log(programs: &[Self]) -> Option<Tried> {
        let program = programs.iter().find(|program| program.name == PROGRAM_WITH_LOG)?;
        let taken =
            program.refused.as_ref().map_or(Ok(()), |why| Err(anyhow!("{why} (it needs CAP_PERFMON)")));
        Some((Feature::Log, taken))
    }

    /// For the table: its name and its numbers, or why it has none.
    pub(super) fn row(&self) -> [String; 7] {
        let number = |of: fn(&Verified) -> u64| {
            self.verified.as_ref().map_or_else(|| "-".to_owned(), |verified| of(verified).to_string())
        };
        [
            self.name.to_owned(),
            number(|it| it.instructions as u64),
            number(|it| it.verified),
            number(|it| it.stack),
            number(|it| it.verification_us),
            number(|it| it.jited_bytes.into()),
            self.refused.clone().unwrap_or_default(),
        ]
    }
}

/// Loads all of them for a moment.
///
/// # Errors
/// If there is not even what they all need.
pub(super) fn all() -> Result<Vec<Program>> {
    let each = kernel::measure()?.into_iter().map(|(name, verified)| match verified {
        Ok(verified) => Program { name, verified: Some(verified), refused: None },
        Err(error) => Program { name, verified: None, refused: Some(format!("{error:#}")) },
    });
    Ok(each.collect())
}
