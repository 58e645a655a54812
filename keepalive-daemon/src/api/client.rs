//! The command line's end of the control socket.

use std::{io, ops::ControlFlow, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::UnixStream,
    runtime::{Builder, Runtime},
    time::timeout,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{SOCKETS, routes::Problem, socket};
use crate::{
    answers::SocketQuery,
    report::sockets::{SocketLine, SocketRow, SocketSummary},
};

/// More than any node's status; a server that sends more is not ours.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How long a daemon may take to answer: it has nothing to do that takes longer than some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a list may take to go on: others may be waited for, a minute each way, and sockets that are locked.
const LIST_PATIENCE: Duration = Duration::from_secs(150);

/// Asks the daemon for what it has at `path`; `None` if none answers on the socket.
///
/// # Errors
/// If one answers, but not with what was asked for, or takes longer than five seconds.
pub(crate) fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<Option<T>> {
    let request = Request::get(path).header("host", "localhost").body(Full::default())?;
    runtime()?.block_on(async {
        timeout(PATIENCE, ask(socket, request)).await.unwrap_or_else(|_| {
            bail!("the daemon on {} does not answer; is it stopped?", socket.display());
        })
    })
}

/// As [`get`], where only a daemon can answer.
///
/// # Errors
/// Also if none answers on the socket.
pub(crate) fn require<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T> {
    get(socket, path)?.with_context(|| nobody(socket))
}

/// Asks the daemon for a list that it tells line by line; `each` hears of every one, and may say that it is enough.
///
/// # Errors
/// If none answers on the socket, or not with what was asked for; if it ends before the list does, or tells nothing
/// for two and a half minutes.
pub(crate) fn stream<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    each: impl FnMut(T) -> ControlFlow<()>,
) -> Result<()> {
    lines(socket, path, LIST_PATIENCE, each)
}

/// Has the daemon list connections; `each` hears of every one, and may say that it is enough, of which nothing is told
/// in the end.
///
/// # Errors
/// As of [`stream`]; and if the list was broken off, by whichever of the two.
pub(crate) fn connections(
    socket: &Path,
    query: &SocketQuery,
    mut each: impl FnMut(SocketRow) -> ControlFlow<()>,
) -> Result<SocketSummary> {
    let query = serde_urlencoded::to_string(query).context("cannot write the question")?;
    let mut summary = None;
    stream(socket, &format!("{SOCKETS}?{query}"), |line| match line {
        SocketLine::Connection(row) => each(*row),
        SocketLine::Summary { summary: told } => {
            summary = Some(told);
            ControlFlow::Continue(())
        }
    })?;
    let broken_off =
        || format!("the daemon on {} broke its list of connections off; try again", socket.display());
    summary.with_context(broken_off)
}

/// As [`stream`], of what has no end: nothing may happen for as long as it likes.
///
/// # Errors
/// As of [`stream`], but for silence once the daemon has begun to answer.
pub(crate) fn follow<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    each: impl FnMut(T) -> ControlFlow<()>,
) -> Result<()> {
    lines(socket, path, Duration::MAX, each)
}

fn lines<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    patience: Duration,
    mut each: impl FnMut(T) -> ControlFlow<()>,
) -> Result<()> {
    let request = Request::get(path).header("host", "localhost").body(Full::default())?;
    let silent = || format!("the daemon on {} does not answer; is it stopped?", socket.display());
    runtime()?.block_on(async {
        let body = timeout(LIST_PATIENCE, send(socket, request)).await.with_context(silent)??;
        let mut body = body.with_context(|| nobody(socket))?;
        let mut rest = Vec::new();
        while let Some(frame) = timeout(patience, body.frame()).await.with_context(silent)? {
            let frame = frame.with_context(|| format!("the daemon on {} broke off", socket.display()))?;
            rest.extend(frame.into_data().unwrap_or_default());
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in rest[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if each(read(socket, line)?).is_break() {
                    return Ok(());
                }
            }
            rest.drain(..end);
            if rest.len() > MOST_BYTES {
                bail!("the daemon on {} tells a line without an end; is it one?", socket.display());
            }
        }
        Ok(())
    })
}

/// Asks the daemon to do something, and waits until it is done, however long that takes.
///
/// # Errors
/// If none answers on the socket, or not with what was asked for.
pub(crate) fn post<T: DeserializeOwned>(socket: &Path, path: &str, question: &impl Serialize) -> Result<T> {
    let body = Bytes::from(serde_json::to_vec(question).context("cannot write the question")?);
    let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
    let request = request.body(Full::new(body))?;
    runtime()?.block_on(ask(socket, request))?.with_context(|| nobody(socket))
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start tokio")
}

fn nobody(socket: &Path) -> String {
    let nobody = socket::nobody(socket);
    format!("{nobody}; start one with `keepalive-daemon run`, or name its --api-socket")
}

async fn ask<T: DeserializeOwned>(socket: &Path, request: Request<Full<Bytes>>) -> Result<Option<T>> {
    let Some(body) = send(socket, request).await? else { return Ok(None) };
    read(socket, &collect(socket, body).await?).map(Some)
}

/// What the daemon answers; `None` if none is there. What it cannot answer is an error.
async fn send(socket: &Path, request: Request<Full<Bytes>>) -> Result<Option<Incoming>> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => {
            let cure = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "; it answers to root, and to the group of its --api-group"
                }
                _ => "",
            };
            return Err(error)
                .with_context(|| format!("cannot reach the daemon on {}{cure}", socket.display()));
        }
    };
    let about = || format!("asking the daemon on {}", socket.display());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(about)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.with_context(about)?;
    let code = response.status();
    if code.is_success() {
        return Ok(Some(response.into_body()));
    }
    // What is wrong with the question is all there is to say; anything else is about the daemon.
    if let Ok(Problem { error }) = serde_json::from_slice(&collect(socket, response.into_body()).await?)
        && code.is_client_error()
    {
        bail!("{error}");
    }
    bail!("the daemon on {} answered {code}; try again", socket.display());
}

async fn collect(socket: &Path, body: Incoming) -> Result<Bytes> {
    let body = Limited::new(body, MOST_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error));
    Ok(body.with_context(|| format!("asking the daemon on {}", socket.display()))?.to_bytes())
}

fn read<T: DeserializeOwned>(socket: &Path, answer: &[u8]) -> Result<T> {
    serde_json::from_slice(answer).with_context(|| {
        format!("cannot read the answer of the daemon on {}; is it of another version?", socket.display())
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
