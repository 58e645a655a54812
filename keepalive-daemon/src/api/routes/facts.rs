//! What the node itself does to silent connections.

use std::sync::Arc;

use axum::{Extension, Json, http::StatusCode};
use tokio::{sync::Semaphore, task::spawn_blocking};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{FACTS, Problem, Refusal, nothing::Nothing};
use crate::{
    api::question::Questions,
    facts::{self, Facts},
};

/// How many may look at a time: each enters every network namespace of the node.
const MOST_LOOKS: usize = 2;

pub(super) fn router() -> OpenApiRouter<Questions> {
    OpenApiRouter::new().routes(routes!(facts)).layer(Extension(Arc::new(Semaphore::new(MOST_LOOKS))))
}

/// What the node's network namespaces, and the machine it runs on, do to silent connections.
#[utoipa::path(get, path = FACTS, responses(
    (status = OK, body = Facts),
    (status = TOO_MANY_REQUESTS, body = Problem, description = "Others look already."),
    (status = SERVICE_UNAVAILABLE, body = Problem, description = "They cannot be read."),
))]
async fn facts(_: Nothing, Extension(looks): Extension<Arc<Semaphore>>) -> Result<Json<Facts>, Refusal> {
    let busy = |_| {
        let reason = format!("{MOST_LOOKS} others look at the node's network namespaces; try again");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
    };
    let permit = looks.try_acquire_owned().map_err(busy)?;
    let failed = |why: String| {
        let reason = format!("cannot look at the node's network namespaces: {why}");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    };
    let gathered = spawn_blocking(move || {
        // Held until it is done, whether or not somebody still waits.
        let _permit = permit;
        facts::gather()
    });
    let gathered = gathered.await.map_err(|error| failed(error.to_string()))?;
    gathered.map(Json).map_err(|error| failed(format!("{error:#}")))
}
