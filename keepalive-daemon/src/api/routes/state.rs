//! The daemon's state as a whole.

use axum::{Json, extract::State};

use super::{HEALTH, POLICIES, Refusal, STATUS, nothing::Nothing};
use crate::{
    api::question::{Question, Questions},
    report::{health::Health, policies::PolicyList, status::Status},
};

/// What is attached, under which policy, and what came of it.
#[utoipa::path(get, path = STATUS, responses((status = OK, body = Status)))]
pub(super) async fn status(State(to): State<Questions>, _: Nothing) -> Result<Json<Status>, Refusal> {
    to.ask(Question::Status).await.map(Json)
}

/// The policies in force, and what each governs.
#[utoipa::path(get, path = POLICIES, responses((status = OK, body = PolicyList)))]
pub(super) async fn policies(State(to): State<Questions>, _: Nothing) -> Result<Json<PolicyList>, Refusal> {
    to.ask(Question::Policies).await.map(Json)
}

/// How the daemon does.
#[utoipa::path(get, path = HEALTH, responses((status = OK, body = Health)))]
pub(super) async fn health(State(to): State<Questions>, _: Nothing) -> Result<Json<Health>, Refusal> {
    to.ask(Question::Health).await.map(Json)
}
