//! What the node itself does to silent connections.

use std::sync::Arc;

use axum::{Extension, Json, http::StatusCode};
use tokio::sync::{Semaphore, oneshot};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{FACTS, Problem, Refusal, nothing::Nothing};
use crate::{
    api::question::Questions,
    facts::{self, Facts},
    privileges::Starter,
};

/// How many may look at a time: each enters every network namespace of the node.
const MOST_LOOKS: usize = 2;

/// Who may look, and what does.
#[derive(Clone)]
struct Looks {
    turns: Arc<Semaphore>,
    starter: Starter,
}

pub(super) fn router(starter: Starter) -> OpenApiRouter<Questions> {
    let looks = Looks { turns: Arc::new(Semaphore::new(MOST_LOOKS)), starter };
    OpenApiRouter::new().routes(routes!(facts)).layer(Extension(looks))
}

/// What the node's network namespaces, and the machine it runs on, do to silent connections.
#[utoipa::path(get, path = FACTS, responses(
    (status = OK, body = Facts),
    (status = TOO_MANY_REQUESTS, body = Problem, description = "Others look already."),
    (status = SERVICE_UNAVAILABLE, body = Problem, description = "They cannot be read."),
))]
async fn facts(_: Nothing, Extension(looks): Extension<Looks>) -> Result<Json<Facts>, Refusal> {
    let busy = |_| {
        let reason = format!("{MOST_LOOKS} others look at the node's network namespaces; try again");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
    };
    let permit = looks.turns.try_acquire_owned().map_err(busy)?;
    let failed = |why: String| {
        let reason = format!("cannot look at the node's network namespaces: {why}");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    };
    let (to, gathered) = oneshot::channel();
    let look = move || {
        let facts = facts::gather();
        // Whoever asked may have gone away; the next may look all the same.
        drop(permit);
        let _ = to.send(facts);
    };
    looks.starter.start("facts", look).map_err(|error| failed(error.to_string()))?;
    let gathered = gathered.await.map_err(|error| failed(error.to_string()))?;
    gathered.map(Json).map_err(|error| failed(format!("{error:#}")))
}
