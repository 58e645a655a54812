//! What a connection costs.

use std::time::Instant;

use anyhow::{Result, bail};

use super::{Bench, findings::Findings};

/// The table that is drawn.
pub(super) const WHOLE_COST: &str =
    "Whole cost of a short connection over loopback, both ends governed (CPU time)";

/// What all is compared with.
pub(super) const NOTHING: &str = "nothing attached";

/// What the names of our own begin with.
pub(super) const OURS: &str = "ours";

pub(super) fn measure(_bench: &Bench, _deadline: Instant) -> Result<Findings> {
    bail!("nothing measures this part yet")
}
