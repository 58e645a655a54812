#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use http_body_util::BodyExt as _;

use super::*;
use crate::metrics::exposition::tests::full;

/// A site with a loop that tells of this health, and how many snapshots it was asked for.
fn site(ready: bool, unfinished: &[&str]) -> (Site, Arc<Mutex<usize>>) {
    let (questions, mut asked) = mpsc::channel(1);
    let health = Health {
        ready,
        unfinished: unfinished.iter().map(|task| (*task).to_owned()).collect(),
        ..Health::default()
    };
    let snapshots = Arc::new(Mutex::new(0));
    let count = Arc::clone(&snapshots);
    tokio::spawn(async move {
        while let Some(question) = asked.recv().await {
            match question {
                Question::Health(to) => drop(to.send(health.clone())),
                Question::Snapshot(to) => {
                    *count.lock().await += 1;
                    drop(to.send(full()));
                }
            }
        }
    });
    (Site::new(questions), snapshots)
}

/// The code, the content type and the body.
async fn get(site: &Site, path: &str, accept: Option<&str>) -> (u16, String, String) {
    let mut request = Request::get(path);
    if let Some(accept) = accept {
        request = request.header(ACCEPT, accept);
    }
    read(site.answer(request.body(()).unwrap()).await).await
}

async fn read(answer: Answer) -> (u16, String, String) {
    let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn whoever_names_openmetrics_gets_it_and_others_what_they_read() {
    let (site, _) = site(true, &[]);
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

    let (_, kind, body) = get(&site, "/metrics", Some(prometheus)).await;
    assert_eq!(kind, OPENMETRICS);
    assert!(body.ends_with("# EOF\n"));
    for accept in [None, Some("*/*"), Some("text/plain;version=0.0.4")] {
        let (code, kind, body) = get(&site, "/metrics", accept).await;
        assert_eq!((code, &*kind), (200, PLAIN), "{accept:?}");
        assert!(
            body.contains("# TYPE keepalive_connections_total counter") && !body.contains("EOF"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn many_scrapes_at_a_time_cost_the_loop_one_snapshot() {
    let (site, snapshots) = site(true, &[]);
    let all = futures_util::future::join_all((0..50).map(|_| get(&site, "/metrics", None))).await;

    assert!(all.iter().all(|(code, ..)| *code == 200));
    let asked_for = *snapshots.lock().await;
    // On a machine that stands still for a second between two of them, it is another one.
    assert!((1..5).contains(&asked_for), "{asked_for}");
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_health_does_not_depend_on_it() {
    let (ready, _) = site(true, &[]);
    let (not_ready, _) = site(false, &["read the policies", "learn the pods"]);

    assert_eq!(get(&ready, "/readyz", None).await, (200, TEXT.to_owned(), "ready\n".to_owned()));
    let (code, _, body) = get(&not_ready, "/readyz", None).await;
    assert_eq!(code, 503);
    assert_eq!(body, "not ready, has yet to: read the policies\nnot ready, has yet to: learn the pods\n");
    assert_eq!(get(&not_ready, "/healthz", None).await.0, 200);
}

#[tokio::test]
async fn a_loop_that_has_ended_is_not_healthy() {
    let (questions, asked) = mpsc::channel(1);
    drop(asked);
    let site = Site::new(questions);

    for path in ["/healthz", "/readyz", "/metrics"] {
        let (code, _, body) = get(&site, path, None).await;
        assert_eq!(code, 503, "{path}");
        assert!(body.contains("did not answer"), "{path}: {body}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let (site, _) = site(true, &[]);

    assert_eq!(get(&site, "/", None).await.0, 200);
    assert_eq!(get(&site, "/metrics/x", None).await.0, 404);
    let answer = site.answer(Request::post("/metrics").body(()).unwrap()).await;
    assert_eq!(answer.headers()[ALLOW], "GET, HEAD");
    assert_eq!(read(answer).await.0, 405);
}
