//! Requests to the control socket.
#![expect(clippy::panic, reason = "whatever is no refusal has failed")]

use std::cell::OnceCell;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use super::draw::Draw;
use crate::{
    api::{APPLY, EVENTS, EXPLAIN, FACTS, HEALTH, POLICIES, Question, Questions, SOCKETS, STATUS, router},
    journal::Journal,
    privileges::Starter,
    report::health::Health,
};

const PATHS: [&str; 8] = [STATUS, POLICIES, HEALTH, EXPLAIN, APPLY, EVENTS, SOCKETS, ""];
const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS];
const KINDS: [&str; 4] = ["application/json", "text/plain", "", "application/json; charset=utf-8"];

/// Far more than any refusal.
const LONGEST: usize = 64 << 10;

thread_local! {
    /// Made once: to describe all that is served takes longer than to serve it.
    static SERVED: OnceCell<(Runtime, Router)> = const { OnceCell::new() };
}

/// Asks whatever can be asked of a daemon that answers for its health and ends before it answers for more. What is refused
/// is refused with the reason, as JSON, and never as a fault of the daemon's.
///
/// # Panics
/// If that is not so.
pub fn requests(data: &[u8]) {
    let mut draw = Draw::new(data);
    let (method, path, kind) =
        (METHODS[draw.below(METHODS.len())].clone(), draw.one_of(&PATHS), draw.one_of(&KINDS));
    let uri = format!("{path}{}{}", if path.is_empty() { "/" } else { "?" }, draw.text());
    let body = draw.rest().to_vec();
    let request = Request::builder().method(method.clone()).uri(&uri).header(header::CONTENT_TYPE, kind);
    let Ok(request) = request.body(Body::from(body)) else { return };
    // That one would look at this machine.
    if request.uri().path() == FACTS {
        return;
    }
    SERVED.with(|served| {
        let (runtime, router) = served.get_or_init(serve);
        runtime.block_on(ask(router.clone(), request, &format!("{method} {uri}")));
    });
}

fn serve() -> (Runtime, Router) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("there is room for one");
    let (questions, mut asked) = Questions::channel();
    runtime.spawn(async move {
        while let Some(question) = asked.recv().await {
            if let Question::Health(reply) = question {
                let _ = reply.send(Health { ready: true, unfinished: Vec::new(), troubles: Vec::new() });
            }
        }
    });
    let starter = Starter::begin().expect("there is room for a thread");
    (runtime, router(questions, Journal::default(), starter))
}

async fn ask(router: Router, request: Request<Body>, asked: &str) {
    let method = request.method().clone();
    let answer = match router.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (head, body) = answer.into_parts();
    let ends = head.status == StatusCode::SERVICE_UNAVAILABLE;
    assert!(!head.status.is_server_error() || ends, "{asked}: {}", head.status);
    if head.status.is_success() || method == Method::HEAD {
        // Some go on for ever.
        return;
    }
    let body = to_bytes(body, LONGEST).await.expect("a refusal is short");
    let body: Value =
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{asked}: {error}: {body:?}"));
    let error = body["error"].as_str().unwrap_or_default();
    assert!(!error.is_empty(), "{asked}: {} {body}", head.status);
}
