//! What runs inside the containers of tests: connects to itself as the very first thing it does, and then once for
//! whoever asks on a socket in a directory that it shares with the tests. A process in the container, so that it is
//! the container's cgroup and network that count; a socket, so that it answers also while the runtime is away.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
};

use serde::{Deserialize, Serialize};
use socket2::Socket;

use crate::{
    peer::{self, Options},
    support::eventually,
};

/// The options of both ends of two connections, as the process in the container read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Of the first it made, read at once.
    pub(crate) first: [Options; 2],
    /// Of the same, which it keeps open, read when it was asked.
    pub(crate) first_now: [Options; 2],
    /// Of one made when it was asked.
    pub(crate) now: [Options; 2],
}

/// Serves on the socket at `path` until it is ended.
pub(crate) fn serve(path: &Path) {
    let kept = connect_to_itself();
    let first = options(&kept);
    let listener = UnixListener::bind(path).unwrap();
    for asked in listener.incoming() {
        let seen = Seen { first, first_now: options(&kept), now: options(&connect_to_itself()) };
        asked.unwrap().write_all(&serde_json::to_vec(&seen).unwrap()).unwrap();
    }
}

/// Asks the process that serves, or will serve, at `path`.
pub(crate) fn ask(path: &Path) -> Seen {
    let mut stream = eventually("the container made its first connection", || UnixStream::connect(path).ok());
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).unwrap();
    serde_json::from_slice(&seen).unwrap()
}

fn connect_to_itself() -> [Socket; 2] {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    [client, server].map(Socket::from)
}

fn options(ends: &[Socket; 2]) -> [Options; 2] {
    [&ends[0], &ends[1]].map(|socket| peer::get(socket).unwrap())
}
