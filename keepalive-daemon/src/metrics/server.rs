//! The thread that serves: few connections at a time, none for long.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, yield_now},
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{Address, Question, respond::Site};
use crate::privileges::{Duty, keep};

/// The most connections at a time. A scraper and the probes of the kubelet make three; whoever comes when there are so
/// many takes the place of another, so that nobody who holds connections open keeps those out.
const MOST_CONNECTIONS: usize = 16;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may be there: one question, and its answer taken. A body is never read.
const LIFE: Duration = Duration::from_secs(15);
/// A head beyond this is no scraper's.
const MOST_BYTES: usize = 16 * 1024;
/// How long to wait before the address is tried again: the interface that has it may come later, and another process
/// that has the port may go.
const RETRY: Duration = Duration::from_secs(10);
/// As many as connections: more questions than these wait here, not in the loop's way.
const BACKLOG: usize = 4;

/// Serves at `address`; questions come out of the receiver. What cannot be served is told and tried again, and nothing
/// else suffers from it.
///
/// # Errors
/// If no thread can be started.
pub(crate) fn serve(address: Address) -> Result<mpsc::Receiver<Question>> {
    let (questions, receiver) = mpsc::channel(BACKLOG);
    if address == Address::Off {
        return Ok(receiver);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start tokio for the metrics")?;
    let run = move || {
        keep(Duty::Clients);
        runtime.block_on(run(address, questions));
    };
    thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(run)
        .context("cannot start the thread for metrics")?;
    Ok(receiver)
}

async fn run(address: Address, questions: mpsc::Sender<Question>) {
    let listener = listen(address).await;
    accept(listener, Arc::new(Site::new(questions))).await;
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let task = tokio::spawn(timeout(LIFE, converse(stream, Arc::clone(&site))));
                connections.add(from.ip().to_canonical(), task.abort_handle());
                // However many come at once, each is heard before the next.
                yield_now().await;
            }
            Err(error) => {
                // No descriptor is left, or the other end went away already; the next one may fare better.
                debug!(%error, "cannot accept a connection for metrics");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, site: Arc<Site>) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(site.answer(request).await) });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MOST_BYTES).keep_alive(false);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "a connection for metrics ended early");
    }
}

/// The connections and where they come from, the oldest first.
#[derive(Default)]
struct Connections(VecDeque<(IpAddr, AbortHandle)>);

impl Connections {
    fn add(&mut self, from: IpAddr, connection: AbortHandle) {
        self.0.retain(|(_, connection)| !connection.is_finished());
        if self.0.len() >= MOST_CONNECTIONS
            && let Some(index) = who_goes(self.0.iter().map(|(from, _)| *from))
            && let Some((_, oldest)) = self.0.remove(index)
        {
            oldest.abort();
        }
        self.0.push_back((from, connection));
    }
}

/// Which of the connections from these addresses goes where there are too many: the oldest of whoever has the most, so
/// that no pod can keep the kubelet's probes out.
fn who_goes(from: impl Iterator<Item = IpAddr>) -> Option<usize> {
    let mut of_each: BTreeMap<IpAddr, (usize, usize)> = BTreeMap::new();
    for (index, address) in from.enumerate() {
        of_each.entry(address).or_insert((0, index)).0 += 1;
    }
    of_each.into_values().max_by_key(|(count, oldest)| (*count, Reverse(*oldest))).map(|(_, oldest)| oldest)
}

/// Listens, as soon as that is possible.
async fn listen(address: Address) -> TcpListener {
    let mut told = None;
    loop {
        match bind(address) {
            Ok((listener, at)) => {
                info!("metrics and health are at http://{at}/");
                return listener;
            }
            Err(error) => {
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    warn!(
                        "cannot serve metrics at {address}, and tries again: {error}; pass another --metrics, or `none`"
                    );
                    told = Some(error);
                }
            }
        }
        sleep(RETRY).await;
    }
}

fn bind(address: Address) -> io::Result<(TcpListener, SocketAddr)> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in address.candidates() {
        match bind_to(candidate, matches!(address, Address::Everywhere(_))) {
            Ok(listener) => {
                let at = listener.local_addr()?;
                return Ok((listener, at));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn bind_to(address: SocketAddr, both_families: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A daemon that takes over from another does not wait for connections of that one to be forgotten.
    socket.set_reuse_address(true)?;
    if both_families && address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests;
