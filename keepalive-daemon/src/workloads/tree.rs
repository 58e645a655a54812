//! The cgroup tree, followed by inotify: each directory is watched, so that a cgroup is known as soon as it
//! is made and forgotten as soon as it is gone. Where the kernel has no watches to give, the tree is read again and again
//! instead.

mod changes;
mod oddities;
mod reading;
mod watches;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io, mem,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures_util::FutureExt as _;
use inotify::{Event, EventMask};
use tokio::{task::yield_now, time::sleep_until};
use tracing::{error, info, warn};

pub(crate) use self::changes::Changes;
use self::{
    oddities::Oddities,
    reading::{Reading, read},
    watches::Watches,
};
use super::nameless;
use crate::plan::levels;

/// The path of each cgroup, relative to the root and without a leading slash, with its id: the inode number of
/// its directory, which the kernel does not give to another cgroup later. Those whose names are no text have paths that
/// no policy can name ([`nameless`]).
pub(crate) type Paths = BTreeMap<String, u64>;

/// How long events are gathered before they are acted on: what makes a thousand cgroups at once does so in about
/// this time, and whoever makes and removes them without a pause must not keep the others waiting.
const GATHER: Duration = Duration::from_millis(100);

/// The same where it takes long to act on them, as for thousands of cgroups on a busy node: no more of the time goes into
/// that than into gathering, whatever the number of changes.
const LONGEST_GATHER: Duration = Duration::from_secs(5);

/// How soon a tree that cannot be followed is read again, at the earliest: a new pod waits no longer for its policy. Where
/// reading takes long (10,000 cgroups take 0.1 s), it waits for [`SHARE`] times as long.
const AGAIN: Duration = Duration::from_secs(2);
const SHARE: u32 = 50;

/// The cgroups under a root.
pub(crate) struct CgroupTree {
    root: PathBuf,
    /// The file system that they are on.
    device: u64,
    watches: Watches,
    paths: Paths,
    /// How the paths changed since somebody asked.
    changes: Changes,
    /// Whether nobody who waits for changes was told of the last.
    is_untold: bool,
    /// The cgroups in which this process may not look.
    closed: BTreeSet<String>,
    oddities: Oddities,
    /// What could not be read since the last scan began, though it is there.
    unread: Option<(PathBuf, io::Error)>,
    /// What somebody was told of, and why the tree is only as fresh as its last scan.
    trouble: Option<String>,
    /// When to read it again, if there is trouble.
    again: tokio::time::Instant,
    /// When changes were told of last, and how long it took to act on those before.
    told: Option<Instant>,
    acting: Duration,
}

impl CgroupTree {
    /// Scans the tree and begins to follow it. Needs to be called within a tokio runtime.
    ///
    /// # Errors
    /// If the root is not to be read.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let device = fs::metadata(root)
            .with_context(|| format!("cannot read the cgroup root {}", root.display()))?
            .dev();
        let mut tree = Self {
            root: root.to_owned(),
            device,
            watches: Watches::new(),
            paths: Paths::new(),
            changes: Changes::Any,
            is_untold: false,
            closed: BTreeSet::new(),
            oddities: Oddities::default(),
            unread: None,
            trouble: None,
            again: tokio::time::Instant::now(),
            told: None,
            acting: Duration::ZERO,
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

    /// How the paths changed since this was asked last.
    pub(crate) fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }

    /// Whether it could not be read when it was tried last, and stays as it was known.
    pub(crate) const fn is_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// Why cgroups that are made now are known only later, or not at all; `None` if all is well.
    pub(crate) const fn trouble(&self) -> Option<&String> {
        self.trouble.as_ref()
    }

    /// Waits until the tree may have changed, and follows what happened until then, for [`GATHER`] at most, or for as long
    /// as was needed to act on what it told before: a thousand cgroups made at once are few changes. Cancel safe.
    ///
    /// # Errors
    /// If the root vanished or inotify failed: nothing can be followed any more.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        if let Some(told) = self.told.take() {
            self.acting = told.elapsed();
        }
        if mem::take(&mut self.is_untold) {
            return Ok(());
        }
        let event = tokio::select! {
            event = self.watches.next() => event?,
            () = sleep_until(self.again), if self.trouble.is_some() => return self.scan(),
        };
        let until = Instant::now() + self.acting.clamp(GATHER, LONGEST_GATHER);
        self.follow(event)?;
        self.follow_all(until)?;
        self.tell();
        self.told = Some(Instant::now());
        Ok(())
    }

    /// Follows what happened until now, without waiting for more; whoever waits for changes is told of them at once.
    ///
    /// # Errors
    /// If the root vanished or inotify failed.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        // Only with this does the executor ask the kernel again what is to be read.
        yield_now().await;
        if self.follow_all(Instant::now() + GATHER)? {
            self.is_untold = true;
            self.tell();
        }
        Ok(())
    }

    /// Follows the events that are there, until none is or it is so late; whether there were any.
    fn follow_all(&mut self, until: Instant) -> Result<bool> {
        let mut were_any = false;
        while let Some(event) = self.watches.next().now_or_never() {
            were_any = true;
            self.follow(event?)?;
            if Instant::now() >= until {
                break;
            }
        }
        Ok(were_any)
    }

    /// Reads the whole tree again; for events that were lost. What cannot be read (too many open files, say) is
    /// not taken for gone: the tree stays as it was known, and somebody is told.
    ///
    /// # Errors
    /// If the root is gone.
    pub(crate) fn scan(&mut self) -> Result<()> {
        let began = Instant::now();
        self.changes = Changes::Any;
        let paths = mem::take(&mut self.paths);
        let watches = self.watches.begin_scan();
        self.oddities.begin_scan();
        self.closed.clear();
        self.unread = None;
        match fs::metadata(&self.root) {
            // What is there instead has no cgroups, and of those that were nothing is known.
            Ok(stat) if stat.dev() != self.device => {
                let error =
                    io::Error::other("the cgroup2 hierarchy is no longer mounted there; mount it again");
                self.unread = Some((self.root.clone(), error));
            }
            _ => self.add(String::new()),
        }
        if self.unread.is_some() {
            self.paths = paths;
            self.watches.end_scan(watches, |_| true);
        } else {
            let closed = mem::take(&mut self.closed);
            // Whoever closes a cgroup does not thereby end what governs below it.
            let is_hidden = |path: &str| levels(path).any(|level| closed.contains(level));
            for (path, id) in paths.into_iter().filter(|(path, _)| !closed.is_empty() && is_hidden(path)) {
                self.paths.entry(path).or_insert(id);
            }
            self.watches.end_scan(watches, is_hidden);
            self.closed = closed;
        }
        if self.paths.is_empty() {
            bail!("cannot read the cgroup root {}: it is gone, or not a directory", self.root.display());
        }
        self.tell();
        self.again = (Instant::now() + (began.elapsed() * SHARE).max(AGAIN)).into();
        Ok(())
    }

    /// Tells somebody of trouble when it begins, and when it ends.
    fn tell(&mut self) {
        let unread = self.unread.as_ref().map(|(path, error)| {
            format!("cannot read the cgroup tree again: going by what was known: {}: {error}", path.display())
        });
        let unwatched = || {
            let lack = self.watches.lack()?;
            Some(format!(
                "cannot watch every cgroup: one that is made is seen with the next full scan only, every few seconds: \
                 {lack}"
            ))
        };
        let trouble = unread.or_else(unwatched);
        match (&self.trouble, &trouble) {
            (None, Some(trouble)) if self.unread.is_some() => error!("{trouble}"),
            (None, Some(trouble)) => warn!("{trouble}"),
            (Some(_), None) => info!("the cgroup tree is followed again"),
            _ => {}
        }
        self.trouble = trouble;
    }

    fn follow(&mut self, event: Event<OsString>) -> Result<()> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            warn!("the kernel dropped inotify events: reading the whole cgroup tree again");
            return self.scan();
        }
        let Some(path) = self.watches.path(&event.wd).cloned() else { return Ok(()) };
        if event.mask.contains(EventMask::IGNORED) {
            self.remove(&path);
            if self.paths.is_empty() {
                bail!("the cgroup root {} is gone", self.root.display());
            }
            return Ok(());
        }
        let Some(name) = event.name else { return Ok(()) };
        let child = child(&path, name);
        if event.mask.contains(EventMask::CREATE) {
            self.add(child);
        } else {
            self.oddities.forget(&self.directory(&child));
            self.remove(&child);
        }
        Ok(())
    }

    fn directory(&self, path: &str) -> PathBuf {
        self.root.join(nameless::directory(path))
    }

    /// Adds a cgroup and what is below it. Watching comes before listing: what is made between is seen twice
    /// rather than never.
    fn add(&mut self, path: String) {
        let mut queue = vec![path];
        while let Some(path) = queue.pop() {
            let directory = self.directory(&path);
            self.watches.add(&directory, &path);
            let is_nameless = path.rsplit('/').next().is_some_and(nameless::is_nameless);
            if is_nameless && self.oddities.is_news(&directory) {
                warn!(path = ?directory, "a cgroup whose name is not UTF-8 cannot be selected by a policy");
            }
            match read(&directory, self.device) {
                Reading::Cgroup(id, names) => {
                    queue.extend(names.into_iter().map(|name| child(&path, name)));
                    self.insert(path, id);
                }
                Reading::Closed(id, error) => {
                    if self.oddities.is_news(&directory) {
                        warn!(
                            %error, path = ?directory,
                            "cannot look into a cgroup: what is made in it is governed by what governs it, and by no \
                             policy of its own, until it may be listed (chmod go+rx, or CAP_DAC_READ_SEARCH) and the \
                             next full scan"
                        );
                    }
                    self.insert(path.clone(), id);
                    self.closed.insert(path);
                }
                Reading::OutOfReach(error) => {
                    if self.oddities.is_news(&directory) {
                        warn!(
                            %error, path = ?directory,
                            "a cgroup is out of reach: it is governed by what governs those above it, and by no policy \
                             of its own"
                        );
                    }
                    self.forget(&path);
                }
                Reading::Gone => self.forget(&path),
                Reading::Failed(error) => self.unread = Some((directory, error)),
            }
        }
    }

    fn insert(&mut self, path: String, id: u64) {
        let known = self.paths.get(&path).copied();
        if known != Some(id) {
            self.changes.made(&path);
            known.into_iter().for_each(|known| self.changes.gone(known));
            self.paths.insert(path, id);
        }
    }

    fn forget(&mut self, path: &str) {
        if let Some(id) = self.paths.remove(path) {
            self.changes.gone(id);
        }
        self.closed.remove(path);
        self.watches.remove(path);
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
        if fs::symlink_metadata(self.directory(path)).is_ok() {
            self.add(path.to_owned());
        }
    }
}

/// The path of a cgroup in another.
fn child(parent: &str, name: OsString) -> String {
    let name = nameless::to_text(name);
    if parent.is_empty() { name } else { format!("{parent}/{name}") }
}
