//! What every question and every answer has to keep to.

use std::{error::Error as _, time::Duration};

use axum::{
    body::{self, Body},
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::{super::routes::Refusal, waiting::Waiting};

/// How much of a body is read: what is asked for takes some hundred bytes.
const MOST_BYTES: usize = 64 * 1024;

/// How much of an answer that explains nothing to programs is read, to explain it.
const MOST_TEXT: usize = 4096;

/// How long a client may take for its question's body.
const TO_ASK: Duration = Duration::from_secs(5);

/// How long an answer may take that is not a stream, and does nothing: the daemon needs some milliseconds.
const TO_ANSWER: Duration = Duration::from_secs(10);

/// Reads the question to its end before anybody thinks about it, and sees to it that whatever is not answered has a
/// [`Problem`](super::super::routes::Problem), also where that was decided before a handler was found.
pub(in super::super) async fn hear(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let waiting = request.extensions().get::<Waiting>().cloned();
    let (head, body) = request.into_parts();
    let body = match timeout(TO_ASK, body::to_bytes(body, MOST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.source().is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) => {
            let reason = format!("the body is longer than {MOST_BYTES} bytes");
            return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason).into_response();
        }
        Ok(Err(error)) => {
            return Refusal::new(StatusCode::BAD_REQUEST, format!("cannot read the body: {error}"))
                .into_response();
        }
        Err(_) => {
            let reason = format!("the body did not come within {} s", TO_ASK.as_secs());
            return Refusal::new(StatusCode::REQUEST_TIMEOUT, reason).into_response();
        }
    };
    if let Some(waiting) = waiting {
        waiting.end();
    }
    explain(next.run(Request::from_parts(head, Body::from(body))).await, &asked).await
}

/// Ends what takes too long; not for streams, and not for what is being done.
pub(in super::super) async fn in_time(request: Request, next: Next) -> Response {
    timeout(TO_ANSWER, next.run(request)).await.unwrap_or_else(|_| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy; try again").into_response()
    })
}

/// Puts what an answer that is none says, or why it is none, into the form of all such answers.
async fn explain(response: Response, asked: &str) -> Response {
    let code = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(code.is_client_error() || code.is_server_error()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let said = body::to_bytes(body, MOST_TEXT).await.unwrap_or_default();
    let reason = match (code, String::from_utf8_lossy(&said).trim()) {
        (StatusCode::NOT_FOUND, "") => {
            format!("there is no {asked}; /v1/openapi.json describes what there is")
        }
        (StatusCode::METHOD_NOT_ALLOWED, "") => {
            format!("{asked} is not something that can be done; `Allow` names what can")
        }
        (code, "") => code.canonical_reason().unwrap_or("not answered").to_owned(),
        (_, said) => said.to_owned(),
    };
    let (told, body) = Refusal::new(code, reason).into_response().into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.extend(told.headers);
    Response::from_parts(head, body)
}
