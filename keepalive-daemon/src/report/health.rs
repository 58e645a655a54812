//! `health`: whether the daemon does its job.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ForPeople;

/// How the daemon does. That it answers at all means that its loop turns.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    pub(crate) ready: bool,
    /// What is not done yet, if it is not ready.
    pub(crate) unfinished: Vec<String>,
}

impl ForPeople for Health {
    fn for_people(&self) -> String {
        if self.ready {
            "ready".to_owned()
        } else {
            format!("alive, not ready, has yet to: {}", self.unfinished.join("; "))
        }
    }
}
