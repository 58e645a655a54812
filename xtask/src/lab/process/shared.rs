//! What a [`Process`](super::Process) and the threads that read its output know in common.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::{Line, Observer, Output, Stream};

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    /// Everything written so far, in the order it was read.
    pub(super) lines: Vec<Line>,
    /// How many of the two outputs can still bring lines.
    pub(super) open: usize,
    /// How and when the program ended.
    pub(super) ended: Option<(ExitStatus, Instant)>,
}

impl Shared {
    /// Starts the threads that follow `child`; they end with it and with its outputs.
    pub(super) fn watch(mut child: Child, observer: Observer) -> Arc<Self> {
        let state = State { lines: Vec::new(), open: 0, ended: None };
        let shared = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
        if let Some(stdout) = child.stdout.take() {
            shared.read(Stream::Stdout, stdout, Arc::clone(&observer));
        }
        if let Some(stderr) = child.stderr.take() {
            shared.read(Stream::Stderr, stderr, Arc::clone(&observer));
        }
        let waiting = Arc::clone(&shared);
        std::thread::spawn(move || waiting.reap(child, &observer));
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, at most for `limit`; the caller sees from the state which of the two it was.
    pub(super) fn wait_until(
        &self,
        limit: Duration,
        mut done: impl FnMut(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn read(self: &Arc<Self>, stream: Stream, pipe: impl Read + Send + 'static, observer: Observer) {
        self.lock().open += 1;
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            for bytes in BufReader::new(pipe).split(b'\n') {
                // A pipe fails only when it is gone, which is an end like any other.
                let Ok(bytes) = bytes else { break };
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let line = Line { stream, text, at: Instant::now() };
                shared.lock().lines.push(line.clone());
                shared.changed.notify_all();
                observer(&Output::Line(line));
            }
            shared.lock().open -= 1;
            shared.changed.notify_all();
        });
    }

    /// Waits for the end without taking it, and takes it under the lock: whoever holds the lock and sees no end
    /// may still use the process id.
    fn reap(&self, mut child: Child, observer: &Observer) {
        let Ok(pid) = i32::try_from(child.id()) else { return };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(Pid::from_raw(pid)), flags) == Err(nix::errno::Errno::EINTR) {}
        let mut state = self.lock();
        let Ok(status) = child.wait() else { return };
        state.ended = Some((status, Instant::now()));
        drop(state);
        self.changed.notify_all();
        observer(&Output::Ended(status));
    }
}
