//! The command line's end of the control socket.

use std::{io, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

use crate::report::status::Status;

/// More than any node's status; a server that sends more is not ours.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How long a daemon may take to answer: it has nothing to do that takes longer than some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the daemon for its status; `None` if none answers on the socket.
///
/// # Errors
/// If one answers, but not with a status, or takes longer than five seconds.
pub(crate) async fn status(socket: &Path) -> Result<Option<Status>> {
    timeout(PATIENCE, ask(socket)).await.unwrap_or_else(|_| {
        bail!("the daemon on {} does not answer; is it stopped?", socket.display());
    })
}

async fn ask(socket: &Path) -> Result<Option<Status>> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => {
            let cure = match error.kind() {
                io::ErrorKind::PermissionDenied => "; it answers to its owner only",
                _ => "",
            };
            return Err(error)
                .with_context(|| format!("cannot reach the daemon on {}{cure}", socket.display()));
        }
    };
    let about = || format!("asking the daemon on {}", socket.display());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(about)?;
    tokio::spawn(connection);
    let request = Request::get("/v1/status").header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.with_context(about)?;
    let code = response.status();
    if !code.is_success() {
        bail!("the daemon on {} answered {code}; try again", socket.display());
    }
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error)).with_context(about)?.to_bytes();
    serde_json::from_slice(&body)
        .map(Some)
        .with_context(|| format!("the answer of the daemon on {} is not a status", socket.display()))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
