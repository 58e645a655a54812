//! The cgroup tree, followed by inotify: each directory is watched, so that a cgroup is known as soon as it
//! is made and forgotten as soon as it is gone.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use futures_util::FutureExt as _;
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio_stream::StreamExt as _;
use tracing::warn;

/// The path of each cgroup, relative to the root and without a leading slash, with its id: the inode number of
/// its directory, which the kernel does not give to another cgroup later.
pub(crate) type Paths = BTreeMap<String, u64>;

/// Room for the events of one read; a name is 255 bytes at most.
const BUFFER: usize = 16 * 1024;

/// The cgroups under a root.
pub(crate) struct CgroupTree {
    root: PathBuf,
    events: EventStream<Vec<u8>>,
    watched: HashMap<WatchDescriptor, String>,
    paths: Paths,
    /// Set once the kernel had no more watches to give; the tree is then only as fresh as its last scan.
    blind: bool,
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
            paths: Paths::new(),
            blind: false,
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

    /// Waits until the tree may have changed, and follows all that happened until then: a thousand cgroups
    /// made at once are one change. Cancel safe.
    ///
    /// # Errors
    /// If the root vanished or inotify failed: nothing can be followed any more.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        let mut event = self.events.next().await;
        loop {
            let happened = event.context("the kernel closed inotify")?;
            self.follow(happened.context("cannot read inotify events")?)?;
            match self.events.next().now_or_never() {
                Some(next) => event = next,
                None => return Ok(()),
            }
        }
    }

    /// Reads the whole tree again; for events that were lost.
    pub(crate) fn scan(&mut self) -> Result<()> {
        self.paths.clear();
        self.add("".to_owned());
        if self.paths.is_empty() {
            bail!("cannot read the cgroup root {}: it is gone, or not a directory", self.root.display());
        }
        let paths = &self.paths;
        self.watched.retain(|_, path| paths.contains_key(path));
        Ok(())
    }

    fn follow(&mut self, event: Event<std::ffi::OsString>) -> Result<()> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            warn!("the kernel dropped inotify events: reading the whole cgroup tree again");
            return self.scan();
        }
        if event.mask.contains(EventMask::IGNORED) {
            self.forget(&event.wd);
            if self.paths.is_empty() {
                bail!("the cgroup root {} is gone", self.root.display());
            }
            return Ok(());
        }
        let (Some(parent), Some(name)) = (self.watched.get(&event.wd), event.name) else { return Ok(()) };
        let Ok(name) = name.into_string() else {
            warn!(%parent, "a cgroup whose name is not UTF-8 cannot be selected by a policy");
            return Ok(());
        };
        let path = if parent.is_empty() { name } else { format!("{parent}/{name}") };
        if event.mask.contains(EventMask::CREATE) {
            self.add(path);
        } else {
            self.remove(&path);
        }
        Ok(())
    }

    /// Adds a cgroup and what is below it. Watching comes before listing: what is made between is seen twice
    /// rather than never.
    fn add(&mut self, path: String) {
        let mut queue = vec![path];
        while let Some(path) = queue.pop() {
            let directory = self.root.join(&path);
            self.watch(&directory, &path);
            let Ok(metadata) = fs::symlink_metadata(&directory) else { continue };
            self.paths.insert(path.clone(), metadata.ino());
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())) {
                let Ok(name) = entry.file_name().into_string() else { continue };
                queue.push(if path.is_empty() { name } else { format!("{path}/{name}") });
            }
        }
    }

    fn watch(&mut self, directory: &Path, path: &str) {
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::ONLYDIR;
        match self.events.watches().add(directory, mask) {
            Ok(descriptor) => {
                self.watched.insert(descriptor, path.to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
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

    /// Removes a cgroup, unless another of its name took its place already.
    fn remove(&mut self, path: &str) {
        let id = self.paths.get(path).copied();
        let there = fs::symlink_metadata(self.root.join(path)).map(|metadata| metadata.ino()).ok();
        if there.is_none() || there != id {
            self.paths.remove(path);
        }
        if there.is_some() && there != id {
            self.add(path.to_owned());
        }
    }

    /// The kernel dropped a watch because its directory is gone.
    fn forget(&mut self, descriptor: &WatchDescriptor) {
        if let Some(path) = self.watched.remove(descriptor) {
            self.remove(&path);
        }
    }
}
