//! `health`: whether the daemon does its job.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ForPeople;

/// How the daemon does. That it answers at all means that its loop turns.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    pub(crate) ready: bool,
    /// What is not done yet, if it is not ready.
    pub(crate) unfinished: Vec<String>,
    /// What somebody should look at, though what is governed stays so.
    #[serde(default)]
    pub(crate) troubles: Vec<String>,
}

impl ForPeople for Health {
    fn for_people(&self) -> String {
        let mut text = if self.ready {
            "ready".to_owned()
        } else {
            format!("alive, not ready, has yet to: {}", self.unfinished.join("; "))
        };
        text.extend(self.troubles.iter().map(|trouble| format!("\ntrouble: {trouble}")));
        text
    }
}
