//! The daemon's end of the control socket.
//!
//! It has a thread of its own: what clients send is parsed, and what they get is written, without the daemon's one loop,
//! which only answers [questions](super::question). However many clients there are, that loop is asked a few at a time.

mod limits;
mod reception;
mod waiting;

use std::{path::Path, thread};

use anyhow::{Context as _, Result};
use tokio::{net::UnixListener, runtime::Builder, sync::mpsc};

pub(super) use self::limits::{hear, in_time};
use self::reception::{Patience, receive};
use super::{
    question::{Question, Questions},
    routes,
    socket::{self, ControlSocket, Group},
};
use crate::{
    journal::Journal,
    privileges::{Duty, Starter, keep},
};

/// Serves the control socket at `path`, also to members of `group`; questions come out of the receiver. What takes
/// capabilities is done by threads of `starter`.
///
/// # Errors
/// If a daemon answers on the socket already, or it cannot be made.
pub(crate) fn serve(
    path: &Path,
    group: Option<Group>,
    journal: Journal,
    starter: Starter,
) -> Result<(ControlSocket, mpsc::Receiver<Question>)> {
    let (listener, socket) = socket::bind(path, group)?;
    let (questions, receiver) = Questions::channel();
    let router = routes::router(questions, journal, starter);
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    let run = move || {
        keep(Duty::Clients);
        runtime.block_on(async {
            match UnixListener::from_std(listener) {
                Ok(listener) => receive(listener, router, Patience::default()).await,
                Err(error) => tracing::error!(%error, "the control socket cannot be served"),
            }
        });
    };
    let thread = thread::Builder::new().name("api".to_owned()).spawn(run);
    thread.context("cannot start the thread that serves the control socket")?;
    Ok((socket, receiver))
}
