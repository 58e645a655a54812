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
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    start: Instant,
    /// In microseconds from the start, and one more; 0 if it does not.
    since: Arc<AtomicU64>,
}

impl Waiting {
    /// From now on.
    pub(super) fn from_now() -> Self {
        let waiting = Self { start: Instant::now(), since: Arc::default() };
        waiting.begin();
        waiting
    }

    pub(super) fn begin(&self) {
        let passed = self.start.elapsed().as_micros();
        self.since.store(u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// For how long; absent if it does not keep the daemon waiting.
    pub(super) fn duration(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed).checked_sub(1)?;
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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
