//! Follows the directory that holds the policies.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;
use tracing::warn;

/// How long the directory must be quiet before it is read: a copy of several files, or the swap of a
/// `ConfigMap`, is a burst of events within milliseconds.
const QUIET: Duration = Duration::from_millis(50);

/// How long a file that somebody writes may hold up reading: an editor or `cp` is done in far less, and a
/// writer that never closes must not keep others out.
const PATIENCE: Duration = Duration::from_secs(5);

const BUFFER: usize = 16 * 1024;

/// The policy directory, and whoever writes in it.
pub(crate) struct PolicyFiles {
    directory: PathBuf,
    events: EventStream<Vec<u8>>,
    /// The watch on the directory itself; the other is on its parent, to see it go and come back.
    inside: Option<WatchDescriptor>,
    /// Files that were written to and not closed.
    written: BTreeSet<OsString>,
    /// Something happened that was not reported yet.
    changed: bool,
}

impl PolicyFiles {
    /// Begins to follow `directory`. Needs to be called within a tokio runtime.
    ///
    /// # Errors
    /// If the kernel refuses inotify. A directory that is not there is for whoever reads it to report.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let inotify =
            Inotify::init().context("cannot start inotify; is fs.inotify.max_user_instances used up?")?;
        let events = inotify.into_event_stream(vec![0; BUFFER]).context("cannot start inotify")?;
        // The parent of a relative path of one component is the working directory.
        let directory = std::path::absolute(directory)
            .with_context(|| format!("cannot resolve the policy directory {}", directory.display()))?;
        let mut files = Self { directory, events, inside: None, written: BTreeSet::new(), changed: false };
        if let Some(parent) = files.directory.parent() {
            let mask = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM;
            if let Err(error) = files.events.watches().add(parent, mask) {
                warn!(%error, directory = %parent.display(), "cannot watch the parent of the policy directory");
            }
        }
        files.watch();
        Ok(files)
    }

    /// Waits until the policies may have changed and nobody is in the middle of writing them. Cancel safe.
    ///
    /// # Errors
    /// If inotify failed: changes can be told by SIGHUP only.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        while !self.changed {
            let event = self.events.next().await;
            self.follow(event)?;
        }
        let patience = Instant::now() + PATIENCE;
        while Instant::now() < patience {
            let wait = if self.written.is_empty() { QUIET } else { patience - Instant::now() };
            let Ok(event) = timeout(wait, self.events.next()).await else { break };
            self.follow(event)?;
        }
        if !self.written.is_empty() {
            warn!(files = ?self.written, "reading policies although somebody is still writing them");
            self.written.clear();
        }
        self.changed = false;
        Ok(())
    }

    fn follow(&mut self, event: Option<std::io::Result<Event<OsString>>>) -> Result<()> {
        let event = event.context("the kernel closed inotify")?.context("cannot read inotify events")?;
        if self.inside.as_ref() != Some(&event.wd) {
            if event.name.as_deref() == self.directory.file_name() {
                self.watch();
                self.changed = true;
            }
            return Ok(());
        }
        self.changed = true;
        if event.mask.contains(EventMask::IGNORED) {
            self.inside = None;
            self.written.clear();
            self.watch();
        }
        let Some(name) = event.name else { return Ok(()) };
        if event.mask.contains(EventMask::MODIFY) {
            self.written.insert(name);
        } else if event.mask.intersects(
            EventMask::CLOSE_WRITE | EventMask::DELETE | EventMask::MOVED_FROM | EventMask::MOVED_TO,
        ) {
            self.written.remove(&name);
        }
        Ok(())
    }

    /// Watches the directory, if it is there; again under a new identity if it was made anew.
    fn watch(&mut self) {
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::ONLYDIR;
        match self.events.watches().add(&self.directory, mask) {
            Ok(descriptor) => self.inside = Some(descriptor),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                warn!(%error, directory = %self.directory.display(), "cannot watch the policy directory; send SIGHUP after a change");
            }
        }
    }
}
