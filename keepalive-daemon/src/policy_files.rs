//! Follows the directory that holds the policies.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::{Instant, timeout_at};
use tokio_stream::StreamExt as _;
use tracing::warn;

/// How long the directory must be quiet before it is read: a copy of several files, or the swap of a
/// `ConfigMap`, is a burst of events within milliseconds.
const QUIET: Duration = Duration::from_millis(50);

/// How long a file that somebody writes may hold up reading before somebody is told: an editor or `cp` is done in
/// far less. It is held up further all the same: half a file can be a valid one with fewer policies.
const PATIENCE: Duration = Duration::from_secs(5);

const BUFFER: usize = 16 * 1024;

/// The policy directory, and whoever writes in it.
pub(crate) struct PolicyFiles {
    directory: PathBuf,
    events: EventStream<Vec<u8>>,
    /// The watch on the directory itself.
    inside: Option<WatchDescriptor>,
    /// The watch on its parent, to see it go and come back.
    beside: Option<WatchDescriptor>,
    /// Files that were written to and not closed.
    written: BTreeSet<OsString>,
    /// What happened and was not reported yet.
    pending: Option<Pending>,
}

/// A change that waits to be reported.
#[derive(Clone, Copy, Debug)]
struct Pending {
    since: Instant,
    last: Instant,
    /// Whether somebody was told that a writer holds it up.
    told: bool,
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
        let written = BTreeSet::new();
        let mut files = Self { directory, events, inside: None, beside: None, written, pending: None };
        files.watch_again();
        // Whoever opens it reads the policies anyway.
        files.pending = None;
        Ok(files)
    }

    /// Waits until the policies may have changed and nobody is in the middle of writing them. Cancel safe: what
    /// it waited for when it was cancelled, it goes on to wait for.
    ///
    /// # Errors
    /// If inotify failed: changes can be told by SIGHUP only.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        loop {
            let event = match self.due() {
                None => self.events.next().await,
                Some(due) => match timeout_at(due, self.events.next()).await {
                    Ok(event) => event,
                    Err(_) if self.written.is_empty() => {
                        self.pending = None;
                        return Ok(());
                    }
                    Err(_) => {
                        warn!(
                            files = ?self.written,
                            "the policies are not read while somebody writes these files; the last good ones stay \
                             in force until they are closed"
                        );
                        self.pending = self.pending.map(|pending| Pending { told: true, ..pending });
                        continue;
                    }
                },
            };
            self.follow(event)?;
        }
    }

    /// Watches the directory and its parent, whatever they are by now: they may have been made since, mounted
    /// over, or reached by a link that leads elsewhere. What is watched already stays as it is.
    pub(crate) fn watch_again(&mut self) {
        if let Some(parent) = self.directory.parent().map(Path::to_owned) {
            let mask = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::ONLYDIR;
            self.beside = self.watch(&parent, mask, self.beside.clone());
        }
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::ONLYDIR;
        let before = self.inside.clone();
        self.inside = self.watch(&self.directory.clone(), mask, before.clone());
        if self.inside != before {
            self.written.clear();
            self.note_change();
        }
    }

    /// When the change is to be reported, or a writer to be told of; `None` if nothing waits for the clock.
    fn due(&self) -> Option<Instant> {
        let Pending { since, last, told } = self.pending?;
        match (self.written.is_empty(), told) {
            (true, _) => Some((last + QUIET).min(since + PATIENCE)),
            (false, false) => Some(since + PATIENCE),
            (false, true) => None,
        }
    }

    fn note_change(&mut self) {
        let last = Instant::now();
        let before = self.pending.unwrap_or(Pending { since: last, last, told: false });
        self.pending = Some(Pending { last, ..before });
    }

    fn follow(&mut self, event: Option<std::io::Result<Event<OsString>>>) -> Result<()> {
        let event = event.context("the kernel closed inotify")?.context("cannot read inotify events")?;
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            self.written.clear();
            self.note_change();
            self.watch_again();
            return Ok(());
        }
        if self.inside.as_ref() != Some(&event.wd) {
            if event.name.as_deref() == self.directory.file_name() {
                self.note_change();
                self.watch_again();
            }
            return Ok(());
        }
        self.note_change();
        if event.mask.contains(EventMask::IGNORED) {
            self.inside = None;
            self.written.clear();
            self.watch_again();
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

    /// Watches a directory, in place of what was watched `before` under its name; `None` if it is not there.
    fn watch(
        &mut self,
        directory: &Path,
        mask: WatchMask,
        before: Option<WatchDescriptor>,
    ) -> Option<WatchDescriptor> {
        let watch = match self.events.watches().add(directory, mask) {
            Ok(watch) => Some(watch),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(%error, directory = %directory.display(), "cannot watch; send SIGHUP after a change of the policies");
                None
            }
        };
        if let Some(before) = before.filter(|before| watch.as_ref() != Some(before)) {
            // Fails where the kernel has ended it already.
            let _ = self.events.watches().remove(before);
        }
        watch
    }
}
