//! A number that goals speak of.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::Quantity;
use crate::bench::statistics::Estimate;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bench) enum Unit {
    /// How many times something else it is.
    Times,
    Milliseconds,
    Seconds,
    Mebibytes,
    Percent,
}

/// A number that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bench) struct Figure {
    pub(in crate::bench) quantity: Quantity,
    /// What the figure is of, in a word or two, as several may stand in a line.
    pub(in crate::bench) name: &'static str,
    #[serde(flatten)]
    pub(in crate::bench) estimate: Estimate,
    pub(in crate::bench) unit: Unit,
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Estimate { value, low, high } = self.estimate;
        if !self.name.is_empty() {
            write!(f, "{} ", self.name)?;
        }
        match self.unit {
            Unit::Times if low == high => write!(f, "{value:.2} ×"),
            Unit::Times => write!(f, "{value:.3} × ({low:.3}–{high:.3})"),
            Unit::Milliseconds => write!(f, "{value:.2} ms"),
            Unit::Seconds => write!(f, "{value:.3} s"),
            Unit::Mebibytes => write!(f, "{value:.1} MiB"),
            Unit::Percent => write!(f, "{value:.1} %"),
        }
    }
}
