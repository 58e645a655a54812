//! The cgroup tree, followed by inotify: each directory is watched, so that a cgroup is known as soon as it
//! is made and forgotten as soon as it is gone.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fs, io, mem,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures_util::FutureExt as _;
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio_stream::StreamExt as _;
use tracing::{error, warn};

/// The path of each cgroup, relative to the root and without a leading slash, with its id: the inode number of
/// its directory, which the kernel does not give to another cgroup later.
pub(crate) type Paths = BTreeMap<String, u64>;

/// Room for the events of one read; a name is 255 bytes at most.
const BUFFER: usize = 16 * 1024;

/// How long events are gathered before they are acted on: what makes a thousand cgroups at once does so in about
/// this time, and whoever makes and removes them without a pause must not keep the others waiting.
const GATHER: Duration = Duration::from_millis(100);

/// The cgroups under a root.
pub(crate) struct CgroupTree {
    root: PathBuf,
    events: EventStream<Vec<u8>>,
    watched: HashMap<WatchDescriptor, String>,
    /// The other way round, for cgroups in `paths`: not every kernel ends the watch of a cgroup that is gone
    /// (6.18 does not).
    watches: HashMap<String, WatchDescriptor>,
    paths: Paths,
    /// The cgroups whose names are no text, to be warned of once each.
    unnamed: HashSet<PathBuf>,
    /// Those that may not be listed, likewise.
    hidden: HashSet<PathBuf>,
    /// Set once the kernel had no more watches to give; the tree is then only as fresh as its last scan.
    blind: bool,
    /// What could not be read since the last scan began, though it is there.
    unread: Option<(PathBuf, io::Error)>,
}

impl CgroupTree {
    /// Scans the tree and begins to follow it. Needs to be called within a tokio runtime.
    ///
    /// # Errors
    /// If the root is not to be read, or the kernel refuses inotify.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let inotify =
            Inotify::init().context("cannot start inotify; is fs.inotify.max_user_instances used up?")?;
        let events = inotify.into_event_stream(vec![0; BUFFER]).context("cannot start inotify")?;
        let mut tree = Self {
            root: root.to_owned(),
            events,
            watched: HashMap::new(),
            watches: HashMap::new(),
            paths: Paths::new(),
            unnamed: HashSet::new(),
            hidden: HashSet::new(),
            blind: false,
            unread: None,
        };
        tree.scan()?;
        Ok(tree)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Waits until the tree may have changed, and follows what happened until then, for [`GATHER`] at most: a
    /// thousand cgroups made at once are few changes. Cancel safe.
    ///
    /// # Errors
    /// If the root vanished or inotify failed: nothing can be followed any more.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        let mut event = self.events.next().await;
        let until = Instant::now() + GATHER;
        while let Some(happened) = event {
            self.follow(happened.context("cannot read inotify events")?)?;
            if Instant::now() >= until {
                return Ok(());
            }
            event = match self.events.next().now_or_never() {
                Some(next) => next,
                None => return Ok(()),
            };
        }
        bail!("the kernel closed inotify")
    }

    /// Reads the whole tree again; for events that were lost. What cannot be read (too many open files, say) is
    /// not taken for gone: the tree stays as it was known, and somebody is told.
    ///
    /// # Errors
    /// If the root is gone.
    pub(crate) fn scan(&mut self) -> Result<()> {
        let paths = mem::take(&mut self.paths);
        let watches = mem::take(&mut self.watches);
        let watched = mem::take(&mut self.watched);
        self.unread = None;
        self.add(String::new());
        if let Some((path, error)) = self.unread.take() {
            error!(%error, path = %path.display(), "cannot read the cgroup tree again: going by what was known");
            self.paths = paths;
            for (path, descriptor) in watches {
                self.watches.entry(path).or_insert(descriptor);
            }
            for (descriptor, path) in watched {
                self.watched.entry(descriptor).or_insert(path);
            }
        } else {
            for descriptor in watched.into_keys() {
                if !self.watched.contains_key(&descriptor) {
                    self.end_watch(descriptor);
                }
            }
        }
        if self.paths.is_empty() {
            bail!("cannot read the cgroup root {}: it is gone, or not a directory", self.root.display());
        }
        Ok(())
    }

    fn follow(&mut self, event: Event<OsString>) -> Result<()> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            warn!("the kernel dropped inotify events: reading the whole cgroup tree again");
            return self.scan();
        }
        let Some(path) = self.watched.get(&event.wd).cloned() else { return Ok(()) };
        if event.mask.contains(EventMask::IGNORED) {
            self.remove(&path);
            if self.paths.is_empty() {
                bail!("the cgroup root {} is gone", self.root.display());
            }
            return Ok(());
        }
        let Some(name) = event.name else { return Ok(()) };
        let appeared = event.mask.contains(EventMask::CREATE);
        if !appeared {
            self.unnamed.remove(&self.root.join(&path).join(&name));
        }
        match self.child(&path, name) {
            Some(child) if appeared => self.add(child),
            Some(child) => self.remove(&child),
            None => {}
        }
        Ok(())
    }

    /// The path of a cgroup below another; warns of a name that is no text.
    fn child(&mut self, parent: &str, name: OsString) -> Option<String> {
        match name.into_string() {
            Ok(name) if parent.is_empty() => Some(name),
            Ok(name) => Some(format!("{parent}/{name}")),
            Err(name) => {
                let path = self.root.join(parent).join(name);
                if self.unnamed.insert(path.clone()) {
                    warn!(?path, "a cgroup whose name is not UTF-8 cannot be selected by a policy");
                }
                None
            }
        }
    }

    /// Adds a cgroup and what is below it. Watching comes before listing: what is made between is seen twice
    /// rather than never.
    fn add(&mut self, path: String) {
        let mut queue = vec![path];
        while let Some(path) = queue.pop() {
            let directory = self.root.join(&path);
            self.watch(&directory, &path);
            match read(&directory) {
                Ok((id, names)) => {
                    self.hidden.remove(&directory);
                    self.paths.insert(path.clone(), id);
                    for name in names {
                        queue.extend(self.child(&path, name));
                    }
                }
                Err(error) if is_gone(&error) => self.forget(&path),
                Err(error) if is_denied(&error) && !path.is_empty() => self.hide(directory, path, &error),
                Err(error) => self.unread = Some((directory, error)),
            }
        }
    }

    /// Adds a cgroup that its owner lets nobody list: that must not keep the rest of the tree from being followed.
    fn hide(&mut self, directory: PathBuf, path: String, error: &io::Error) {
        let Ok(metadata) = fs::symlink_metadata(&directory) else { return };
        self.paths.insert(path, metadata.ino());
        if !self.hidden.contains(&directory) {
            warn!(
                %error, path = %directory.display(),
                "a cgroup may not be listed: policies of the cgroups above reach what is in it, no others; once it may \
                 be, the next full scan sees it (chmod go+rx, or run with CAP_DAC_READ_SEARCH)"
            );
            self.hidden.insert(directory);
        }
    }

    fn watch(&mut self, directory: &Path, path: &str) {
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::ONLYDIR;
        match self.events.watches().add(directory, mask) {
            Ok(descriptor) => {
                self.watched.insert(descriptor.clone(), path.to_owned());
                let before = self.watches.insert(path.to_owned(), descriptor.clone());
                if let Some(before) = before.filter(|before| *before != descriptor) {
                    self.end_watch(before);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_denied(&error) => {}
            Err(error) if !self.blind => {
                self.blind = true;
                warn!(
                    %error, path,
                    "cannot watch every cgroup: one made below is seen with the next full scan only; raise \
                     fs.inotify.max_user_watches"
                );
            }
            Err(_) => {}
        }
    }

    fn forget(&mut self, path: &str) {
        self.paths.remove(path);
        self.hidden.remove(&self.root.join(path));
        if let Some(descriptor) = self.watches.remove(path) {
            self.end_watch(descriptor);
        }
    }

    fn end_watch(&mut self, descriptor: WatchDescriptor) {
        self.watched.remove(&descriptor);
        // Fails where the kernel has ended it already.
        let _ = self.events.watches().remove(descriptor);
    }

    /// Removes a cgroup and what was below it: with its watch goes what that may have had to tell. Another of
    /// its name may have taken its place already, and is then added.
    fn remove(&mut self, path: &str) {
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        let gone: Vec<String> = self
            .paths
            .range(below.clone()..)
            .map(|(path, _)| path.clone())
            .take_while(|path| path.starts_with(&below))
            .collect();
        for path in gone.iter().map(String::as_str).chain([path]) {
            self.forget(path);
        }
        if fs::symlink_metadata(self.root.join(path)).is_ok() {
            self.add(path.to_owned());
        }
    }
}

/// The id of a cgroup and the names of those in it.
fn read(directory: &Path) -> io::Result<(u64, Vec<OsString>)> {
    let id = fs::symlink_metadata(directory)?.ino();
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    Ok((id, names))
}

/// What belongs to somebody else is his: root is no exception without the capability for it.
fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// A cgroup that is removed while it is looked at is not found, or no such device.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}
