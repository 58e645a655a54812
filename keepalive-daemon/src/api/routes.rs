//! The paths, what each takes, and what it answers.

mod apply;
mod description;
mod events;
mod explain;
mod facts;
mod nothing;
mod sockets;
mod state;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    http::StatusCode,
    middleware::from_fn,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    question::Questions,
    server::{hear, in_time},
};
use crate::{journal::Journal, privileges::Starter};

pub(crate) use events::EventsQuery;
pub(crate) use explain::SubjectQuery;

/// Where the daemon has its status.
pub(crate) const STATUS: &str = "/v1/status";
/// Where it has the policies in force.
pub(crate) const POLICIES: &str = "/v1/policies";
/// Where it has how it does.
pub(crate) const HEALTH: &str = "/v1/health";
/// Where it explains; with a [`SubjectQuery`].
pub(crate) const EXPLAIN: &str = "/v1/explain";
/// Where it sweeps open connections; a POST with a [`Selection`](crate::answers::Selection).
pub(crate) const APPLY: &str = "/v1/apply";
/// Where it has what happened; with an [`EventsQuery`].
pub(crate) const EVENTS: &str = "/v1/events";
/// Where it lists connections; with a [`SocketQuery`](crate::answers::SocketQuery).
pub(crate) const SOCKETS: &str = "/v1/sockets";
/// Where it has what the node itself does to silent connections.
pub(crate) const FACTS: &str = "/v1/facts";
/// Where it has the description of all of these.
const OPENAPI: &str = "/v1/openapi.json";

/// How many answers may be streams, that last for as long as somebody listens.
const MOST_STREAMS: usize = 16;

/// The right to stream an answer.
#[derive(Clone, Debug)]
struct Streams(Arc<Semaphore>);

/// All of them.
pub(crate) fn router(questions: Questions, journal: Journal, starter: Starter) -> Router {
    let at_once = OpenApiRouter::new()
        .routes(routes!(state::status))
        .routes(routes!(state::policies))
        .routes(routes!(state::health))
        .routes(routes!(explain::explain))
        .routes(routes!(description::description))
        .layer(from_fn(in_time));
    let (router, described) = OpenApiRouter::with_openapi(description::Description::openapi())
        .merge(at_once)
        .routes(routes!(events::events))
        .merge(apply::router())
        .merge(facts::router(starter.clone()))
        .merge(sockets::router(starter))
        .with_state(questions)
        .split_for_parts();
    router
        .layer(Extension(journal))
        .layer(Extension(Streams(Arc::new(Semaphore::new(MOST_STREAMS)))))
        .layer(Extension(description::Written::new(described)))
        .layer(from_fn(hear))
}

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Refusal {
    code: StatusCode,
    body: Problem,
}

/// Why a question is not answered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// For people.
    pub(crate) error: String,
}

impl Refusal {
    pub(super) fn new(code: StatusCode, error: impl Into<String>) -> Self {
        Self { code, body: Problem { error: error.into() } }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.code, Json(self.body)).into_response()
    }
}

#[cfg(test)]
mod tests;
