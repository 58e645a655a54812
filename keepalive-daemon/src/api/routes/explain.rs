//! Which policy governs a pod or a cgroup, and why.
#![expect(unused_qualifications, reason = "the macro for paths repeats the paths of types")]

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{EXPLAIN, Problem, Refusal};
use crate::{
    answers::Subject,
    api::question::{Question, Questions},
    report::explanation::Explanation,
};

/// What is to be explained: one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectQuery {
    /// A pod, as `NAMESPACE/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    /// A cgroup, by its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
}

impl From<Subject> for SubjectQuery {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Pod(name) => Self { pod: Some(name), cgroup: None },
            Subject::Cgroup(path) => Self { pod: None, cgroup: Some(path) },
        }
    }
}

impl SubjectQuery {
    fn subject(self) -> Result<Subject, Refusal> {
        match (self.pod, self.cgroup) {
            (Some(name), None) => Ok(Subject::Pod(name)),
            (None, Some(path)) => Ok(Subject::Cgroup(path)),
            _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "ask for one of `pod` and `cgroup`")),
        }
    }
}

/// Which policy governs a pod or a cgroup, why, and with which values.
#[utoipa::path(get, path = EXPLAIN, params(SubjectQuery), responses(
    (status = OK, body = Explanation),
    (status = NOT_FOUND, body = Problem, description = "There is no such pod or cgroup."),
))]
pub(super) async fn explain(
    State(to): State<Questions>,
    Query(query): Query<SubjectQuery>,
) -> Result<Json<Explanation>, Refusal> {
    let subject = query.subject()?;
    let answer = to.ask(|reply| Question::Explain(subject, reply)).await?;
    answer.map(Json).map_err(|reason| Refusal::new(StatusCode::NOT_FOUND, reason))
}
