//! The paths, what each takes, and what it answers.

mod apply;
mod explain;
mod facts;
mod sockets;
mod state;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::question::Questions;

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
/// Where it lists connections; with a [`SocketQuery`](crate::answers::SocketQuery).
pub(crate) const SOCKETS: &str = "/v1/sockets";
/// Where it has what the node itself does to silent connections.
pub(crate) const FACTS: &str = "/v1/facts";
/// Where it has the description of all of these.
const OPENAPI: &str = "/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(info(
    title = "keepalive-daemon",
    description = "What the daemon of a node has attached, what came of it, and the connections it governs. Served on \
                   a unix socket; `curl --unix-socket /run/keepalive/keepalive.sock http://localhost/v1/status`."
))]
struct Description;

/// All of them.
pub(super) fn router(questions: Questions) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(state::status))
        .routes(routes!(state::policies))
        .routes(routes!(state::health))
        .routes(routes!(explain::explain))
        .merge(apply::router())
        .merge(facts::router())
        .merge(sockets::router())
        .with_state(questions)
        .split_for_parts();
    router.route(OPENAPI, get(async || Json(description)))
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
