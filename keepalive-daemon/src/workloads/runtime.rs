//! The container runtime of this node, asked for its pods through the CRI.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::SystemTime};

use anyhow::{Context as _, Result, anyhow};
use tokio::{sync::watch, task::JoinSet};

use self::{connection::Connection, follower::Follower, questions::Questions, sockets::Sockets};
use super::Pod;
use crate::journal::Journal;

mod connection;
mod events;
mod follower;
mod questions;
mod sandboxes;
mod session;
mod sockets;

#[cfg(any(test, fuzzing))]
pub(crate) use sandboxes::Sandboxes;

/// Which runtime to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CriSocket {
    /// The first of the known places where one answers that has pods; looked for again while none does.
    Auto,
    /// None: a host without pods.
    Off,
    /// The one on this socket.
    At(PathBuf),
}

/// What is known of the runtime and its pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuntimeState {
    /// The socket it answers on; the last one, if it is away.
    pub(crate) socket: Option<PathBuf>,
    /// Its name and version, such as `containerd 1.7.24`.
    pub(crate) name: Option<String>,
    /// The pods with a running sandbox, as last told; `None` if they were never told.
    pub(crate) pods: Option<Arc<Vec<Arc<Pod>>>>,
    /// Why what is known may be out of date.
    pub(crate) trouble: Option<Trouble>,
}

/// Why the runtime does not tell of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Since when.
    pub(crate) since: SystemTime,
    /// What happened, with the flag that helps.
    pub(crate) message: String,
}

/// Follows the runtime in a task of its own, so that a slow one holds up nothing. The task ends with this.
#[derive(Debug)]
pub(crate) struct Runtime {
    state: watch::Receiver<RuntimeState>,
    open: watch::Sender<BTreeSet<String>>,
    _task: JoinSet<()>,
}

impl Runtime {
    /// Begins to follow. Needs to be called within a tokio runtime.
    pub(crate) fn follow(socket: CriSocket, journal: Journal) -> Self {
        match socket {
            CriSocket::Auto => Self::on(Some(Sockets::known()), journal),
            CriSocket::At(path) => Self::on(Some(Sockets::only(path)), journal),
            CriSocket::Off => Self::on(None, journal),
        }
    }

    fn on(sockets: Option<Sockets>, journal: Journal) -> Self {
        let (known, state) = watch::channel(RuntimeState::default());
        let (open, told) = watch::channel(BTreeSet::new());
        let mut task = JoinSet::new();
        match sockets {
            Some(sockets) => task.spawn(Follower::new(sockets, Questions::new(told), known, journal).run()),
            // Nothing ever changes, which is not the same as nobody being there to tell of it.
            None => task.spawn(async move { known.closed().await }),
        };
        Self { state, open, _task: task }
    }

    /// What is known.
    pub(crate) fn state(&self) -> RuntimeState {
        self.state.borrow().clone()
    }

    /// Waits until something else is known. Cancel safe.
    ///
    /// # Errors
    /// If nobody follows the runtime any more, which only a mistake in this program can do.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        self.state.changed().await.context("the task that follows the container runtime has ended")
    }

    /// Tells what an answer of the runtime is needed for (cgroups that may be those of pods it has not told of,
    /// pods whose cgroup is not there). A question that was not open before is asked at once, and again, less and less
    /// often, while it is.
    pub(crate) fn ask_about(&self, open: BTreeSet<String>) {
        self.open.send_if_modified(|before| {
            let other = *before != open;
            *before = open;
            other
        });
    }
}

/// Asks once which runtime is there: its name, version and socket; `None` if none was said to be there, and none is.
///
/// # Errors
/// If something is there that is of no use.
pub(crate) async fn ask(socket: &CriSocket) -> Result<Option<String>> {
    let sockets = match socket {
        CriSocket::Auto => Sockets::known(),
        CriSocket::At(path) => Sockets::only(path.clone()),
        CriSocket::Off => return Ok(None),
    };
    let mut trouble = None;
    for path in sockets.paths() {
        match Connection::open(path).await {
            Ok(Connection { version, .. }) => return Ok(Some(format!("{version} on {}", path.display()))),
            Err(failure) if failure.is_missing && !sockets.is_given() => {}
            Err(failure) => {
                trouble.get_or_insert_with(|| anyhow!("{}: {}", path.display(), failure.message));
            }
        }
    }
    trouble.map_or(Ok(None), Err)
}

impl std::str::FromStr for CriSocket {
    type Err = String;

    /// `auto`, `none`, or a path, with or without `unix://` before it.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            // Set and empty is as good as not set.
            "auto" | "" => Ok(Self::Auto),
            "none" => Ok(Self::Off),
            _ => match text.strip_prefix("unix://").unwrap_or(text) {
                path if path.starts_with('/') => Ok(Self::At(path.into())),
                _ => Err("write `auto`, `none`, or the absolute path of a unix socket".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests;
