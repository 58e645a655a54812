//! The daemon's end of the control socket.

use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use nix::sys::stat::{Mode, umask};
use tokio::{
    net::UnixListener,
    sync::{Semaphore, mpsc, oneshot},
};

use super::{APPLY, EXPLAIN, HEALTH, POLICIES, STATUS, SubjectQuery};
use crate::{
    answers::{Selection, Subject},
    report::{
        applied::Applied, explanation::Explanation, health::Health, policies::PolicyList, status::Status,
    },
    sweeper::Asker,
};

/// A question for the daemon's state, with where the answer goes. Whoever asked may have gone away meanwhile.
pub(crate) enum Question {
    Status(oneshot::Sender<Status>),
    Policies(oneshot::Sender<PolicyList>),
    /// What cannot be explained is answered with the reason.
    Explain(Subject, oneshot::Sender<Result<Explanation, String>>),
    Health(oneshot::Sender<Health>),
    /// Answered by the sweeper, when it is done.
    Apply(Selection, Asker),
}

/// The way to the daemon's loop.
type Questions = mpsc::Sender<Question>;

/// An answer that is none, as code and text.
type Refusal = (StatusCode, String);

/// How many questions may wait; more clients than that are told to come back.
const BACKLOG: usize = 16;

/// How many may wait for a sweep they asked for: each is made alone, and what comes after it waits.
const MOST_SWEEPS: usize = 4;

/// The socket; removed when dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket(PathBuf);

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, socket = %self.0.display(), "cannot remove the control socket");
        }
    }
}

/// Serves the control socket at `path`; questions come out of the receiver.
///
/// # Errors
/// If a daemon answers on the socket already, or it cannot be made.
pub(crate) fn serve(path: &Path) -> Result<(ControlSocket, mpsc::Receiver<Question>)> {
    let listener = bind(path)?;
    let socket = ControlSocket(path.to_owned());
    let (questions, receiver) = mpsc::channel(BACKLOG);
    let router = Router::new()
        .route(STATUS, get(async |State(to): State<Questions>| ask(&to, Question::Status).await.map(Json)))
        .route(
            POLICIES,
            get(async |State(to): State<Questions>| ask(&to, Question::Policies).await.map(Json)),
        )
        .route(HEALTH, get(async |State(to): State<Questions>| ask(&to, Question::Health).await.map(Json)))
        .route(EXPLAIN, get(explain))
        .route(APPLY, {
            let sweeps = Arc::new(Semaphore::new(MOST_SWEEPS));
            post(async |to: State<Questions>, selection| apply(to, sweeps, selection).await)
        })
        .with_state(questions);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control socket stopped answering");
        }
    });
    Ok((socket, receiver))
}

async fn explain(
    State(to): State<Questions>,
    Query(query): Query<SubjectQuery>,
) -> Result<Json<Explanation>, Refusal> {
    let subject = query.subject().map_err(|reason| (StatusCode::BAD_REQUEST, reason))?;
    let answer = ask(&to, |reply| Question::Explain(subject, reply)).await?;
    answer.map(Json).map_err(|reason| (StatusCode::NOT_FOUND, reason))
}

async fn apply(
    State(to): State<Questions>,
    sweeps: Arc<Semaphore>,
    Json(selection): Json<Selection>,
) -> Result<Json<Applied>, Refusal> {
    let busy =
        |_| (StatusCode::TOO_MANY_REQUESTS, format!("{MOST_SWEEPS} others wait for a sweep; try again"));
    let permit = sweeps.try_acquire_owned().map_err(busy)?;
    let answer = ask(&to, |reply| Question::Apply(selection, Asker { reply, _permit: permit })).await?;
    answer.map(Json).map_err(|reason| (StatusCode::UNPROCESSABLE_ENTITY, reason))
}

async fn ask<T>(to: &Questions, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Refusal> {
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy, or ends; try again".to_owned());
    let (reply, answer) = oneshot::channel();
    to.try_send(question(reply)).map_err(|_| busy())?;
    answer.await.map_err(|_| busy())
}

/// Makes the socket, in place of one that a killed daemon left.
fn bind(path: &Path) -> Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {} for the control socket", parent.display()))?;
    }
    // Connecting fails alike on a socket that nobody serves and on a file that is none.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        bail!("{} is not a socket, and is left alone; pass another --api-socket", path.display());
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another process already answers on {}; pass another --api-socket", path.display()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path)
                .with_context(|| format!("cannot replace the stale control socket {}", path.display()))?;
        }
        Err(_) => {}
    }
    let make = || -> io::Result<UnixListener> {
        // From the first moment on: whoever connected once stays connected.
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        listener
    };
    make().with_context(|| format!("cannot make the control socket {}", path.display()))
}
