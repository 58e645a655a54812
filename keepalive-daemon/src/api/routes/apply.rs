//! Sweeping open connections on demand.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode};
use tokio::sync::Semaphore;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{APPLY, Problem, Refusal, nothing::Nothing};
use crate::{
    answers::Selection,
    api::question::{Question, Questions},
    report::applied::Applied,
    sweeper::Asker,
};

/// How many may wait for a sweep they asked for: each is made alone, and what comes after it waits.
const MOST_SWEEPS: usize = 4;

pub(super) fn router() -> OpenApiRouter<Questions> {
    OpenApiRouter::new().routes(routes!(apply)).layer(Extension(Arc::new(Semaphore::new(MOST_SWEEPS))))
}

/// Applies the policies of governed cgroups to the connections that are open there; answers when it is done.
#[utoipa::path(post, path = APPLY, request_body = Selection, responses(
    (status = OK, body = Applied),
    (status = UNPROCESSABLE_ENTITY, body = Problem, description = "Nothing is selected, or it cannot be done."),
    (status = TOO_MANY_REQUESTS, body = Problem, description = "Others wait for theirs."),
))]
async fn apply(
    State(to): State<Questions>,
    Extension(sweeps): Extension<Arc<Semaphore>>,
    _: Nothing,
    Json(selection): Json<Selection>,
) -> Result<Json<Applied>, Refusal> {
    let busy = |_| {
        let reason = format!("{MOST_SWEEPS} others wait for a sweep; try again");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
    };
    let permit = sweeps.try_acquire_owned().map_err(busy)?;
    let answer = to.ask(|reply| Question::Apply(selection, Asker { reply, _permit: permit })).await?;
    answer.map(Json).map_err(|reason| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, reason))
}
