//! What each path answers.

use std::{sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{Question, exposition, plain::plain};
use crate::report::health::Health;

/// How long the loop may take to answer: it has nothing to do that takes longer than some milliseconds, but for its
/// first look at a node with thousands of cgroups.
const PATIENCE: Duration = Duration::from_secs(3);
/// For so long an exposition serves whoever asks: of scrapers one every few seconds is usual, and of others none should
/// cost the loop anything.
const FRESH: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const INDEX: &str = "\
keepalive-daemon
/metrics  for Prometheus, as OpenMetrics or its text format
/healthz  whether the daemon and its loop answer
/readyz   whether all policies are in force, and what is missing if they are not
";

/// What answers; one for all connections.
pub(super) struct Site {
    questions: mpsc::Sender<Question>,
    /// The last exposition, with when it was made. Who asks meanwhile waits for the lock, and then has it too.
    exposition: Mutex<Option<(Instant, Arc<str>)>>,
}

type Answer = Response<Full<Bytes>>;

impl Site {
    pub(super) fn new(questions: mpsc::Sender<Question>) -> Self {
        Self { questions, exposition: Mutex::new(None) }
    }

    pub(super) async fn answer<B>(&self, request: Request<B>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(request.headers()).await,
            "/healthz" => match self.ask(Question::Health).await {
                Ok(_) => text(StatusCode::OK, TEXT, "ok\n"),
                Err(busy) => busy,
            },
            "/readyz" => match self.ask(Question::Health).await {
                Ok(health) => readiness(&health),
                Err(busy) => busy,
            },
            "/" => text(StatusCode::OK, TEXT, INDEX),
            _ => text(StatusCode::NOT_FOUND, TEXT, format!("nothing is here\n\n{INDEX}")),
        }
    }

    async fn metrics(&self, headers: &HeaderMap) -> Answer {
        let exposition = match self.exposition().await {
            Ok(exposition) => exposition,
            Err(busy) => return busy,
        };
        if reads_openmetrics(headers) {
            text(StatusCode::OK, OPENMETRICS, exposition.as_bytes().to_vec())
        } else {
            text(StatusCode::OK, PLAIN, plain(&exposition))
        }
    }

    async fn exposition(&self) -> Result<Arc<str>, Answer> {
        let mut last = self.exposition.lock().await;
        if let Some((made, text)) = &*last
            && made.elapsed() < FRESH
        {
            return Ok(Arc::clone(text));
        }
        let snapshot = self.ask(Question::Snapshot).await?;
        let encoded = exposition::encode(snapshot)
            .map_err(|_| text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "cannot write the metrics\n"))?;
        let encoded: Arc<str> = encoded.into();
        *last = Some((Instant::now(), Arc::clone(&encoded)));
        Ok(encoded)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Answer> {
        let busy = |_| {
            let words =
                format!("the daemon's loop did not answer within {} s, or ends\n", PATIENCE.as_secs());
            text(StatusCode::SERVICE_UNAVAILABLE, TEXT, words)
        };
        let asked = async {
            let (reply, answer) = oneshot::channel();
            self.questions.send(question(reply)).await.ok()?;
            answer.await.ok()
        };
        timeout(PATIENCE, asked).await.ok().flatten().ok_or(()).map_err(busy)
    }
}

/// Ready, or not, with what there is to do.
fn readiness(Health { ready, unfinished, troubles }: &Health) -> Answer {
    let troubles = troubles.iter().map(|trouble| format!("trouble: {trouble}\n"));
    if *ready {
        return text(StatusCode::OK, TEXT, "ready\n".to_owned() + &troubles.collect::<String>());
    }
    let lines = unfinished.iter().map(|task| format!("not ready, has yet to: {task}\n"));
    text(StatusCode::SERVICE_UNAVAILABLE, TEXT, lines.chain(troubles).collect::<String>())
}

/// Whether whoever asks names OpenMetrics among what it reads, as Prometheus does; its text format is for all others.
fn reads_openmetrics(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = values.flat_map(|value| value.split(','));
    kinds.any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/openmetrics-text"))
}

fn text(code: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests;
