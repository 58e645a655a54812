//! Follows the directory that holds the policies; where the kernel has no inotify to give, by looking at it from time to
//! time.

mod writers;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    future::pending,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::{Instant, timeout_at};
use tokio_stream::StreamExt as _;
use tracing::warn;

use self::writers::is_let_go_of;
use crate::policy::directory::{Observation, is_policy_file, look};

/// How long the directory must be quiet before it is read: a copy of several files, or the swap of a
/// `ConfigMap`, is a burst of events within milliseconds.
const QUIET: Duration = Duration::from_millis(50);

/// How long a file that was written to and not closed may hold up reading before it is asked for who has it open, and
/// between two times that it is: an editor or `cp` is done in far less. For as long as anybody has, it is held up further
/// all the same: half a file can be a valid one with fewer policies.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon policies are read again that could not be used: mostly nothing comes of it, and a thousand files take a tenth of
/// a second.
const RETRY: Duration = Duration::from_secs(15);

/// How often the directory is looked at if no event tells of it; it costs a `stat` a file.
const LOOK: Duration = Duration::from_secs(2);

const BUFFER: usize = 16 * 1024;

/// The policy directory, and whoever writes in it.
pub(crate) struct PolicyFiles {
    directory: PathBuf,
    /// Absent while the kernel has no inotify to give.
    events: Option<EventStream<Vec<u8>>>,
    /// How it is looked at, if for want of events.
    looking: Option<Looking>,
    /// The watch on the directory itself.
    inside: Option<WatchDescriptor>,
    /// The watch on its parent, to see it go and come back.
    beside: Option<WatchDescriptor>,
    /// Files that were written to and not closed.
    written: BTreeSet<OsString>,
    /// What happened and was not reported yet.
    pending: Option<Pending>,
    /// When to read the policies again that could not be.
    retry: Option<Instant>,
}

/// Why the policies are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reread {
    /// They may have changed.
    Changed,
    /// They could not be used, and may be by now: there may be descriptors again.
    Retry,
}

/// How the directory looks. A change is none before it looked the same twice: no event tells of who is in the middle of
/// writing.
#[derive(Debug, Default)]
struct Looking {
    last: Option<Observation>,
    reported: Option<Observation>,
    /// When to look again.
    at: Option<Instant>,
}

/// A change that waits to be reported.
#[derive(Clone, Copy, Debug)]
struct Pending {
    since: Instant,
    last: Instant,
    /// When it was last found that a writer holds it up; the warning is given the first time.
    asked: Option<Instant>,
}

impl PolicyFiles {
    /// Begins to follow `directory`. Needs to be called within a tokio runtime.
    ///
    /// # Errors
    /// If its path cannot be resolved. A directory that is not there is for whoever reads it to report.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        // The parent of a relative path of one component is the working directory.
        let directory = std::path::absolute(directory)
            .with_context(|| format!("cannot resolve the policy directory {}", directory.display()))?;
        let written = BTreeSet::new();
        let (events, looking) = (None, None);
        let mut files = Self {
            directory,
            events,
            looking,
            inside: None,
            beside: None,
            written,
            pending: None,
            retry: None,
        };
        files.watch_again();
        // Whoever opens it reads the policies anyway.
        files.pending = None;
        Ok(files)
    }

    /// Has the policies read again some time later, whatever happens until then.
    pub(crate) fn retry(&mut self) {
        self.retry = Some(Instant::now() + RETRY);
    }

    /// Waits until the policies may have changed and nobody is in the middle of writing them. Cancel safe: what
    /// it waited for when it was cancelled, it goes on to wait for.
    ///
    /// # Errors
    /// If inotify failed: changes can be told by SIGHUP only.
    pub(crate) async fn changed(&mut self) -> Result<Reread> {
        loop {
            let look_at = self.looking.as_ref().and_then(|looking| looking.at);
            let idle_until =
                [look_at, self.retry.filter(|_| self.written.is_empty())].into_iter().flatten().min();
            let event = match self.due().or(idle_until) {
                None => next(&mut self.events).await,
                Some(due) => match timeout_at(due, next(&mut self.events)).await {
                    Ok(event) => event,
                    Err(_) if self.pending.is_none() => {
                        if self.retry.is_some_and(|at| at <= Instant::now()) {
                            self.retry = None;
                            return Ok(Reread::Retry);
                        }
                        self.watch_again();
                        continue;
                    }
                    Err(_) if self.written.is_empty() => {
                        (self.pending, self.retry) = (None, None);
                        return Ok(Reread::Changed);
                    }
                    Err(_) => {
                        self.look_for_writers();
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
        if let Err(error) = self.begin() {
            return self.look_instead(&error, "raise fs.inotify.max_user_instances");
        }
        let mut lack = None;
        if let Some(parent) = self.directory.parent().map(Path::to_owned) {
            let mask = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::ONLYDIR;
            self.beside = self.watch(&parent, mask, self.beside.clone(), &mut lack);
        }
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::ONLYDIR;
        let before = self.inside.clone();
        self.inside = self.watch(&self.directory.clone(), mask, before.clone(), &mut lack);
        if self.inside != before {
            self.written.clear();
            self.note_change();
        }
        match lack {
            Some(error) => self.look_instead(&error, "raise fs.inotify.max_user_watches"),
            None => self.looking = None,
        }
    }

    /// Starts inotify, if it is not.
    fn begin(&mut self) -> io::Result<()> {
        if self.events.is_none() {
            self.events = Some(Inotify::init()?.into_event_stream(vec![0; BUFFER])?);
        }
        Ok(())
    }

    /// Looks at the directory, as no event tells of it.
    fn look_instead(&mut self, error: &io::Error, cure: &str) {
        if self.looking.is_none() {
            warn!(
                %error, directory = %self.directory.display(),
                "cannot be told of changes of the policies, and looks for them every few seconds; {cure}"
            );
        }
        let looking = self.looking.get_or_insert_default();
        let now = look(&self.directory);
        let is_change = looking.last == now && looking.reported != now;
        if is_change {
            looking.reported.clone_from(&now);
        }
        looking.last = now;
        looking.at = Some(Instant::now() + LOOK);
        if is_change {
            self.note_change();
        }
    }

    /// When the change is to be reported, or writers to be looked for; `None` if nothing waits for the clock.
    fn due(&self) -> Option<Instant> {
        let Pending { since, last, asked } = self.pending?;
        Some(if self.written.is_empty() {
            (last + QUIET).min(since + PATIENCE)
        } else {
            asked.unwrap_or(since) + PATIENCE
        })
    }

    /// Takes as written what nobody has open to write: truncate(2) writes by a path, and closes nothing. Tells, once, of
    /// what somebody has.
    fn look_for_writers(&mut self) {
        self.written.retain(|name| !is_let_go_of(&self.directory.join(name)));
        let Some(pending) = self.pending.as_mut().filter(|_| !self.written.is_empty()) else { return };
        if pending.asked.replace(Instant::now()).is_none() {
            warn!(
                files = ?self.written,
                "the policies are not read while somebody writes these files; the last good ones stay \
                 in force until they are closed, or SIGHUP comes"
            );
        }
    }

    fn note_change(&mut self) {
        let last = Instant::now();
        let before = self.pending.unwrap_or(Pending { since: last, last, asked: None });
        self.pending = Some(Pending { last, ..before });
    }

    fn follow(&mut self, event: Option<io::Result<Event<OsString>>>) -> Result<()> {
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
        // An editor writes beside the file all the while that it is open.
        let is_beside = event.name.as_ref().is_some_and(|name| !is_policy_file(name));
        if is_beside && event.mask.contains(EventMask::MODIFY) {
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
        lack: &mut Option<io::Error>,
    ) -> Option<WatchDescriptor> {
        let mut watches = self.events.as_ref()?.watches();
        let watch = match watches.add(directory, mask) {
            Ok(watch) => Some(watch),
            Err(error) => {
                // Who reads it says what is there instead.
                let is_elsewhere =
                    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                *lack = lack.take().or_else(|| Some(error).filter(|_| !is_elsewhere));
                None
            }
        };
        if let Some(before) = before.filter(|before| watch.as_ref() != Some(before)) {
            // Fails where the kernel has ended it already.
            let _ = watches.remove(before);
        }
        watch
    }
}

/// The next event; none comes where there is no inotify.
async fn next(events: &mut Option<EventStream<Vec<u8>>>) -> Option<io::Result<Event<OsString>>> {
    match events {
        Some(events) => events.next().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
