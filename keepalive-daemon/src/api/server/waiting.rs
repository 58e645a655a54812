//! A connection that does not wait for its client for ever, and tells for how long it does.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    time::{Instant, Sleep, sleep},
};

/// Since when a client keeps the daemon waiting: for its question, or for it to take the answer.
///
/// It does not before the daemon has looked whether the question is there: where that takes its time, because many come
/// at once or the machine is busy, nobody but the daemon is late.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    start: Instant,
    /// In microseconds from the start, and one more; 0 if it does not, and [`UNHEARD`] if nobody has looked yet.
    since: Arc<AtomicU64>,
}

/// Nobody has looked yet whether there is a question.
const UNHEARD: u64 = u64::MAX;

impl Waiting {
    /// Of one who has just come.
    pub(super) fn unheard() -> Self {
        Self { start: Instant::now(), since: Arc::new(AtomicU64::new(UNHEARD)) }
    }

    /// From now on.
    pub(super) fn begin(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
    }

    /// The daemon has looked, and the question is not there, or not to its end.
    fn begin_if_unheard(&self) {
        // Whoever has asked, and is waited for again or no more, keeps the mark of that.
        let _ = self.since.compare_exchange(UNHEARD, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        let passed = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        passed.saturating_add(1).min(UNHEARD - 1)
    }

    pub(super) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// For how long; absent if it does not keep the daemon waiting.
    pub(super) fn duration(&self) -> Option<Duration> {
        let since = match self.since.load(Ordering::Relaxed) {
            UNHEARD => return None,
            since => since.checked_sub(1)?,
        };
        Some(self.start.elapsed().saturating_sub(Duration::from_micros(since)))
    }
}

/// A connection whose client has to take its answer in time.
pub(super) struct Patient {
    stream: UnixStream,
    waiting: Waiting,
    patience: Duration,
    /// Runs while the client takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) const fn new(stream: UnixStream, waiting: Waiting, patience: Duration) -> Self {
        Self { stream, waiting, patience, stall: None }
    }

    /// Fails what has stalled for too long.
    fn judge<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            if self.stall.take().is_some() {
                self.waiting.end();
            }
            return poll;
        }
        let (waiting, patience) = (&self.waiting, self.patience);
        let stall = self.stall.get_or_insert_with(|| {
            waiting.begin();
            Box::pin(sleep(patience))
        });
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if poll.is_pending() {
            self.waiting.begin_if_unheard();
        }
        poll
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
