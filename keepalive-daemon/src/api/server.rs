//! The daemon's end of the control socket.

use std::path::Path;

use anyhow::Result;
use tokio::sync::mpsc;

use super::{
    question::{Question, Questions},
    routes,
    socket::{self, ControlSocket},
};

/// Serves the control socket at `path`; questions come out of the receiver.
///
/// # Errors
/// If a daemon answers on the socket already, or it cannot be made.
pub(crate) fn serve(path: &Path) -> Result<(ControlSocket, mpsc::Receiver<Question>)> {
    let (listener, socket) = socket::bind(path)?;
    let (questions, receiver) = Questions::channel();
    let router = routes::router(questions);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control socket stopped answering");
        }
    });
    Ok((socket, receiver))
}
