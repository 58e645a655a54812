//! The watches on the directories of the tree, as far as the kernel gives them.

use std::{collections::HashMap, ffi::OsString, future::pending, io, mem, path::Path};

use anyhow::{Context as _, Result};
use inotify::{Event, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio_stream::StreamExt as _;

/// Room for the events of one read; a name is 255 bytes at most.
const BUFFER: usize = 16 * 1024;

/// What is watched, by the paths of the cgroups.
pub(super) struct Watches {
    /// Absent while the kernel has no inotify to give.
    events: Option<EventStream<Vec<u8>>>,
    known: Known,
    /// Why not every cgroup is watched.
    lack: Option<String>,
}

/// Both ways round: not every kernel ends the watch of a cgroup that is gone (6.18 does not).
#[derive(Default)]
pub(super) struct Known {
    paths: HashMap<WatchDescriptor, String>,
    descriptors: HashMap<String, WatchDescriptor>,
}

impl Watches {
    /// Watches nothing yet. Needs to be called within a tokio runtime.
    pub(super) fn new() -> Self {
        let mut watches = Self { events: None, known: Known::default(), lack: None };
        watches.begin_scan();
        watches
    }

    /// Why not every cgroup is watched, and what would help.
    pub(super) const fn lack(&self) -> Option<&String> {
        self.lack.as_ref()
    }

    /// Waits for an event. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Event<OsString>> {
        let Some(events) = &mut self.events else { return pending().await };
        let event = events.next().await.context("the kernel closed inotify")?;
        event.context("cannot read inotify events")
    }

    /// The path of the cgroup that an event is about.
    pub(super) fn path(&self, descriptor: &WatchDescriptor) -> Option<&String> {
        self.known.paths.get(descriptor)
    }

    /// Begins anew; what was watched until now goes on to be until [`Self::end_scan`].
    pub(super) fn begin_scan(&mut self) -> Known {
        self.lack = None;
        if self.events.is_none() {
            let started = Inotify::init().and_then(|inotify| inotify.into_event_stream(vec![0; BUFFER]));
            match started {
                Ok(events) => self.events = Some(events),
                Err(error) => self.lack = Some(format!("{error}; raise fs.inotify.max_user_instances")),
            }
        }
        mem::take(&mut self.known)
    }

    /// Ends the watches of before that are not asked for any more; those of the paths of which `keeps` says so stay.
    pub(super) fn end_scan(&mut self, before: Known, keeps: impl Fn(&str) -> bool) {
        for (descriptor, path) in before.paths {
            if self.known.paths.contains_key(&descriptor) {
                continue;
            }
            if keeps(&path) {
                self.known.descriptors.entry(path.clone()).or_insert_with(|| descriptor.clone());
                self.known.paths.insert(descriptor, path);
            } else {
                self.end(descriptor);
            }
        }
    }

    /// Watches a cgroup.
    pub(super) fn add(&mut self, directory: &Path, path: &str) {
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::ONLYDIR;
        let Some(events) = &self.events else { return };
        match events.watches().add(directory, mask) {
            Ok(descriptor) => {
                self.known.paths.insert(descriptor.clone(), path.to_owned());
                let before = self.known.descriptors.insert(path.to_owned(), descriptor.clone());
                if let Some(before) = before.filter(|before| *before != descriptor) {
                    self.end(before);
                }
            }
            // Whoever reads it meets with the same.
            Err(error) if is_of_the_directory(&error) => {}
            Err(error) => {
                self.lack.get_or_insert_with(|| format!("{error}; raise fs.inotify.max_user_watches"));
            }
        }
    }

    /// Watches a cgroup no longer.
    pub(super) fn remove(&mut self, path: &str) {
        if let Some(descriptor) = self.known.descriptors.remove(path) {
            self.end(descriptor);
        }
    }

    fn end(&mut self, descriptor: WatchDescriptor) {
        self.known.paths.remove(&descriptor);
        if let Some(events) = &self.events {
            // Fails where the kernel has ended it already.
            let _ = events.watches().remove(descriptor);
        }
    }
}

fn is_of_the_directory(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    // The last is what one that is being removed says.
    matches!(error.kind(), NotFound | PermissionDenied | InvalidFilename | NotADirectory)
        || error.raw_os_error() == Some(libc::ENODEV)
}
