//! The connections of the node, one by one.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Problem, Refusal, SOCKETS};
use crate::{
    answers::SocketQuery,
    api::question::{Question, Questions},
    observer::{Listing, Observer},
    policy::CgroupGlob,
    privileges::Starter,
    report::sockets::SocketLine,
};

/// How many may wait for a list, or have theirs made: one is made at a time, of 100,000 connections in some seconds.
const MOST_LISTS: usize = 4;
/// How long one may wait for those before, and how long a list may wait for its reader altogether: who reads more slowly
/// than the slowest link to a node's console would, keeps others from theirs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who may have a list made.
struct Turns {
    waiting: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    observer: Observer,
}

pub(super) fn router(starter: Starter) -> OpenApiRouter<Questions> {
    let turns = Turns {
        waiting: Arc::new(Semaphore::new(MOST_LISTS)),
        turn: Arc::new(Semaphore::new(1)),
        observer: Observer::new(starter),
    };
    OpenApiRouter::new().routes(routes!(sockets)).layer(Extension(Arc::new(turns)))
}

/// The TCP connections, as the kernel has them, each with the policy that governs it, what came of it, and why: a line
/// of JSON each and, if the list was finished, a last one with a summary.
#[utoipa::path(get, path = SOCKETS, params(SocketQuery), responses(
    (status = OK, body = SocketLine, content_type = "application/x-ndjson"),
    (status = BAD_REQUEST, body = Problem, description = "The question is none."),
    (status = NOT_FOUND, body = Problem, description = "What is named is not there."),
    (status = TOO_MANY_REQUESTS, body = Problem, description = "Others wait for theirs."),
    (status = SERVICE_UNAVAILABLE, body = Problem, description = "The daemon is busy, or ends."),
))]
async fn sockets(
    State(to): State<Questions>,
    Extension(turns): Extension<Arc<Turns>>,
    Query(query): Query<SocketQuery>,
) -> Result<Response, Refusal> {
    if let Some(Err(fault)) = query.cgroup.as_deref().map(CgroupGlob::parse) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("cgroup: {fault}")));
    }
    let busy = || {
        let reason = format!("{MOST_LISTS} others wait for a list of connections; try again");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
    };
    let place = Arc::clone(&turns.waiting).try_acquire_owned().map_err(|_| busy())?;
    let turn = timeout(PATIENCE, Arc::clone(&turns.turn).acquire_owned()).await;
    let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
    let SocketQuery { unarmed, limit, .. } = query;
    let places = timeout(PATIENCE, to.ask(|reply| Question::Places(query, reply))).await;
    let stuck = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy, or ends; try again");
    let places = places.map_err(stuck)??;
    let places = places.map_err(|reason| Refusal::new(StatusCode::NOT_FOUND, reason))?;
    let parts = turns.observer.list(Listing { places, unarmed, limit, turn });
    let parts = parts.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")))?;
    let (body, receiver) = mpsc::channel(1);
    tokio::spawn(pass_on(parts, body, PATIENCE, place));
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(ReceiverStream::new(receiver))).into_response())
}

/// Hands over a list as it is made, for as long as there is patience with its reader.
async fn pass_on(
    mut parts: mpsc::Receiver<Vec<u8>>,
    body: mpsc::Sender<io::Result<Vec<u8>>>,
    mut patience: Duration,
    _place: OwnedSemaphorePermit,
) {
    while let Some(part) = parts.recv().await {
        let begin = Instant::now();
        match timeout(patience, body.send(Ok(part))).await {
            // How long it takes to make the list is not the reader's fault.
            Ok(Ok(())) => patience = patience.saturating_sub(begin.elapsed()),
            // The reader has gone away.
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::debug!("a list of connections is broken off: whoever asked for it does not read it");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_that_nobody_reads_is_broken_off_and_makes_room() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().expect("it is free");
        let (list, parts) = mpsc::channel(2);
        let (body, mut reader) = mpsc::channel(1);
        for part in [b"first", b"other"] {
            list.send(part.to_vec()).await.expect("there is room");
        }

        pass_on(parts, body, Duration::from_millis(20), place).await;

        assert_eq!(places.available_permits(), 1);
        assert!(list.is_closed(), "nobody goes on making it");
        let first = reader.recv().await.and_then(Result::ok);
        assert_eq!(first.as_deref(), Some(&b"first"[..]), "there was room for one");
        assert!(reader.recv().await.is_none());
    }
}
