//! The description of all paths, made of the handlers and their types.

use axum::{
    Extension,
    body::Bytes,
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    OpenApi,
    openapi::{self, Content, Ref, ResponseBuilder, path::Operation},
};

use super::{OPENAPI, nothing::Nothing};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "keepalive-daemon",
        description = "What the daemon of a node has attached, what came of it, and the connections it governs. Served \
                       on a unix socket; `curl --unix-socket /run/keepalive/keepalive.sock \
                       http://localhost/v1/status`. One question a connection."
    ),
    components(schemas(super::Problem))
)]
pub(super) struct Description;

/// This description.
#[utoipa::path(get, path = OPENAPI, responses((status = OK, body = serde_json::Value)))]
pub(super) async fn description(Extension(Written(description)): Extension<Written>, _: Nothing) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], description).into_response()
}

/// The description as it is served.
#[derive(Clone, Debug)]
pub(super) struct Written(Bytes);

impl Written {
    /// Once for all who will ask.
    pub(super) fn new(description: openapi::OpenApi) -> Self {
        // Of types with texts as keys, it cannot fail; and the test would tell.
        Self(serde_json::to_vec(&complete(description)).unwrap_or_default().into())
    }
}

/// Adds what every path may answer, whatever its handler does.
fn complete(mut description: openapi::OpenApi) -> openapi::OpenApi {
    for item in description.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            complete_operation(operation);
        }
    }
    description
}

fn complete_operation(operation: &mut Operation) {
    let always = [
        ("400", "The question is none: a parameter is unknown or wrong, or the body is not JSON."),
        ("408", "The body of the question did not come in time."),
        ("413", "The body of the question is too long."),
        ("503", "The daemon is busy, or ends."),
    ];
    let with_body = [
        ("415", "The body of the question is not said to be JSON."),
        ("422", "The body of the question is not what is described."),
    ];
    let with_body = operation.request_body.is_some().then_some(with_body).into_iter().flatten();
    for (code, description) in always.into_iter().chain(with_body) {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new().description(description).content("application/json", problem);
        operation.responses.responses.entry(code.to_owned()).or_insert_with(|| response.build().into());
    }
}
