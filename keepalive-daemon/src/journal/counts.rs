//! What an event came to.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What it came to, in connections or, of what is rewritten, in calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) armed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tightened: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overridden: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_alone: Option<u64>,
    /// Monitor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) would_change: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rewritten: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) examined: Option<u64>,
}

impl Counts {
    pub(super) const NONE: Self = Self {
        connections: None,
        armed: None,
        tightened: None,
        overridden: None,
        left_alone: None,
        would_change: None,
        refused: None,
        rewritten: None,
        examined: None,
    };

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Those that are told, by their names.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = [
            ("connections", self.connections),
            ("armed", self.armed),
            ("tightened", self.tightened),
            ("overridden", self.overridden),
            ("left alone", self.left_alone),
            ("would be changed", self.would_change),
            ("refused", self.refused),
            ("rewritten", self.rewritten),
            ("examined", self.examined),
        ];
        named.into_iter().filter_map(|(name, count)| count.map(|count| (name, count)))
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let add = |one: &mut Option<u64>, other: Option<u64>| {
            *one = one.map_or(other, |one| Some(one.saturating_add(other.unwrap_or(0))));
        };
        add(&mut self.connections, other.connections);
        add(&mut self.armed, other.armed);
        add(&mut self.tightened, other.tightened);
        add(&mut self.overridden, other.overridden);
        add(&mut self.left_alone, other.left_alone);
        add(&mut self.would_change, other.would_change);
        add(&mut self.refused, other.refused);
        add(&mut self.rewritten, other.rewritten);
        add(&mut self.examined, other.examined);
    }
}
