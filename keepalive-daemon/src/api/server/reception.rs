//! Lets clients in, and shows those out that keep others waiting.

use std::time::Duration;

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::waiting::{Patient, Waiting};

/// How much a question may be without its body: there is little to ask.
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// How long to wait before looking again whether there is room, or, when the kernel lets nobody in, whether files that
/// are open elsewhere are closed.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take without having to fear for its place: whoever asks at once does so within that, also
/// where many do.
const GRACE: Duration = Duration::from_millis(250);

/// How much clients may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How many are served at once.
    pub(super) places: usize,
    /// How long one may take for its question's header.
    pub(super) to_ask: Duration,
    /// For how long it may take nothing of its answer. Long enough for people who page through it.
    pub(super) to_listen: Duration,
}

impl Default for Patience {
    /// Far more clients than any node has, in a few megabytes.
    fn default() -> Self {
        Self { places: 64, to_ask: Duration::from_secs(5), to_listen: Duration::from_secs(60) }
    }
}

/// Serves whoever connects, for ever; one question a connection, so that who has asked makes room.
pub(super) async fn receive(listener: UnixListener, router: Router, patience: Patience) {
    let mut guests = Guests::default();
    let mut is_told = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                is_told = false;
                guests.make_room(patience.places).await;
                guests.seat(stream, router.clone(), patience);
            }
            Err(error) => {
                if !is_told {
                    warn!(%error, "the control socket lets nobody in");
                    is_told = true;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Those who are served.
#[derive(Default)]
struct Guests {
    seated: Vec<(Waiting, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Guests {
    /// Makes room for one more. Of those who keep the daemon waiting, whoever has done so for longest gives way, so that
    /// nobody can lock out others by doing nothing. Where all are being answered, one of them will soon be done: those
    /// that are answered for minutes are few, and counted apart.
    async fn make_room(&mut self, places: usize) {
        while self.tasks.try_join_next().is_some() {}
        while self.tasks.len() >= places {
            self.seated.retain(|(_, task)| !task.is_finished());
            let waiting = self.seated.iter().filter_map(|(waiting, task)| Some((waiting.duration()?, task)));
            let waiting = waiting.filter(|(duration, _)| *duration > GRACE);
            if let Some((_, longest)) = waiting.max_by_key(|(duration, _)| *duration) {
                debug!("dropped a client that keeps the control socket waiting: others wait for its place");
                longest.abort();
            }
            // Who is answered now may keep us waiting in a moment.
            let _ = timeout(PAUSE, self.tasks.join_next()).await;
        }
        self.seated.retain(|(_, task)| !task.is_finished());
    }

    fn seat(&mut self, stream: UnixStream, router: Router, patience: Patience) {
        let waiting = Waiting::unheard();
        let task = self.tasks.spawn(serve(stream, router, waiting.clone(), patience));
        self.seated.push((waiting, task));
    }
}

async fn serve(stream: UnixStream, router: Router, waiting: Waiting, patience: Patience) {
    let stream = Patient::new(stream, waiting.clone(), patience.to_listen);
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(waiting.clone());
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.to_ask)
        .max_buf_size(MOST_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        let error: &dyn std::error::Error = &error;
        let cause = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        debug!(error = cause, "a client of the control socket was not served to the end");
    }
}

#[cfg(test)]
mod tests;
