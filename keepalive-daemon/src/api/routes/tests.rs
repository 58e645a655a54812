use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::{api::question::Question, privileges::Starter, report::health::Health};

/// Asks a router whose loop answers for the daemon's health alone.
async fn ask(request: Request<Body>) -> (StatusCode, Value, Option<String>) {
    let (questions, mut receiver) = Questions::channel();
    tokio::spawn(async move {
        while let Some(question) = receiver.recv().await {
            if let Question::Health(reply) = question {
                let _ = reply.send(Health { ready: true, unfinished: Vec::new() });
            }
        }
    });
    let response = router(questions, Journal::default(), Starter::begin().expect("a thread starts"))
        .oneshot(request)
        .await
        .expect("it answers");
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("it is whole");
    let allow = head.headers.get(header::ALLOW).and_then(|value| value.to_str().ok()).map(str::to_owned);
    (head.status, serde_json::from_slice(&body).unwrap_or_default(), allow)
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("it is a request")
}

fn post(kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(APPLY).header(header::CONTENT_TYPE, kind).body(body.into()).expect("it is a request")
}

#[tokio::test]
async fn whatever_is_not_answered_says_why() {
    const JSON: &str = "application/json";
    for (request, code, says) in [
        (get("/v1/nothing"), 404, "there is no GET /v1/nothing; /v1/openapi.json describes"),
        (get("/v1/health?verbose=1"), 400, "takes no parameters"),
        (get("/v1/explain"), 400, "ask for one of"),
        (get("/v1/explain?pod=a/b&cgroup=c"), 400, "ask for one of"),
        (get("/v1/explain?pods=a/b"), 400, "unknown field `pods`"),
        (get("/v1/events?since=-1"), 400, "invalid digit"),
        (get("/v1/events?until=1"), 400, "unknown field `until`"),
        (get("/v1/events?since=1&since=2"), 400, "duplicate field"),
        (post(JSON, "{"), 400, "JSON"),
        (post(JSON, "{\"all\": true}"), 422, "unknown field `all`"),
        (post("text/plain", "{}"), 415, "application/json"),
        (post(JSON, vec![b' '; 65 * 1024]), 413, "longer than 65536 bytes"),
        (get("/v1/status"), 503, "ends"),
    ] {
        let asked = request.uri().to_string();

        let (status, body, _) = ask(request).await;

        let error = body["error"].as_str().unwrap_or_default();
        assert!(status == code && error.contains(says), "{asked}: {status}, {body}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let request = Request::delete(HEALTH).body(Body::empty()).expect("it is a request");

    let (status, body, allow) = ask(request).await;

    assert_eq!((status, allow.as_deref()), (StatusCode::METHOD_NOT_ALLOWED, Some("GET,HEAD")));
    assert!(body["error"].as_str().is_some_and(|error| error.contains("DELETE /v1/health")), "{body}");
}

#[tokio::test]
async fn the_loop_is_asked() {
    let (status, body, _) = ask(get(HEALTH)).await;

    assert_eq!((status, &body["ready"]), (StatusCode::OK, &true.into()));
}

/// Each `$ref` below a value.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_is_whole() {
    let (status, description, _) = ask(get(OPENAPI)).await;

    assert_eq!(status, StatusCode::OK);
    let paths = description["paths"].as_object().expect("it has paths");
    for path in [STATUS, POLICIES, HEALTH, EXPLAIN, EVENTS, APPLY, OPENAPI] {
        assert!(paths.contains_key(path), "{path}");
    }
    for (path, item) in paths {
        for operation in item.as_object().expect("it has methods").values() {
            let responses = &operation["responses"];
            let problem = &responses["400"]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{path}");
            assert!(responses["503"].is_object() && responses["200"].is_object(), "{path}");
        }
    }
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
