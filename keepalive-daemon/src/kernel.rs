//! The only module that talks to the kernel's eBPF side: it alone names aya's types, makes the raw calls and
//! knows where things are pinned. Its verbs are the project's own: attach, write, detach, adopt.
//!
//! **Invariant**: `BPF_LINK_UPDATE` is never used. With cgroup storage the kernel keeps the old program's
//! storage pointers, and the new program reads past them or from nowhere (a panic on 5.10.262 and 6.12.107).
//! An upgrade attaches the second link beside the first and renames its pin over it.

mod log;
mod memory_limit;
mod object;
mod obstacles;
mod pins;
mod storage;
mod sweep;
mod sys;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aya::programs::links::FdLink;
use keepalive_ebpf::{Counters, Policy};

pub(crate) use object::AttachError;
pub(crate) use storage::Stored;
pub(crate) use sweep::{Method, Pass, Running, Sweeper, sweep_process};

use self::{
    memory_limit::MemoryLimit,
    object::Object,
    pins::{CgroupPins, Lock, Pins},
    storage::Storage,
};

/// The kernel side, loaded and pinned, for the one daemon that may change it.
pub(crate) struct Kernel {
    pins: Pins,
    object: Object,
    /// Where the pins of each attached cgroup are: the name of the directory was made of the path that an
    /// earlier run, perhaps with another root, knew it by.
    attached: BTreeMap<u64, CgroupPins>,
    _memory_limit: MemoryLimit,
    _lock: Lock,
}

/// A cgroup as the tree shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cgroup<'a> {
    /// The directory of the cgroup2 root that paths are relative to.
    pub(crate) root: &'a Path,
    /// Relative to the root, without a leading slash; empty for the root.
    pub(crate) path: &'a str,
    /// The inode number of its directory.
    pub(crate) id: u64,
}

/// An attachment found in the pins.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) cgroup_id: u64,
    /// The cgroup's path when it was attached.
    pub(crate) path: String,
    pub(crate) policy_name: String,
    pub(crate) stored: Stored,
    /// The program the link runs.
    pub(crate) program_id: u32,
}

/// The pins, held against every other daemon.
pub(crate) struct Held {
    pins: Pins,
    lock: Lock,
}

impl Held {
    /// Takes hold of the pins under `bpffs`.
    ///
    /// # Errors
    /// If `bpffs` is none, or another daemon holds them; says which.
    pub(crate) fn take(bpffs: &Path) -> Result<Self> {
        let pins = Pins::new(bpffs)?;
        let lock = pins.lock()?;
        Ok(Self { pins, lock })
    }
}

impl Kernel {
    /// Loads the program and takes over the pins. With `log`, the program writes a log line a
    /// connection; needs a tokio runtime then.
    ///
    /// # Errors
    /// If something else lies in their place, or if the kernel or the privileges do not suffice; nothing that was
    /// attached changes then.
    pub(crate) fn open(held: Held, log: bool) -> Result<Self> {
        let Held { pins, lock } = held;
        let memory_limit = MemoryLimit::raise();
        pins.create()?;
        let mut object = Object::load_pinned(&pins, log).inspect_err(|_| pins.discard_empty())?;
        if let Some(logger) = object.logger.take() {
            log::drain(logger)?;
        }
        Ok(Self { pins, object, attached: BTreeMap::new(), _memory_limit: memory_limit, _lock: lock })
    }

    /// Reads from the pins what is attached, by this run or an earlier one. Pins whose link never came to be
    /// (their daemon died before) or whose cgroup is gone are removed, and reported to `collected`.
    pub(crate) fn attachments(&mut self, mut collected: impl FnMut(&str)) -> Result<Vec<Attachment>> {
        let mut attached = BTreeMap::new();
        let mut attachments = Vec::new();
        for pins in self.pins.cgroups()? {
            pins.discard_unfinished()?;
            let path = pins.path().unwrap_or_default();
            match attachment(&pins, &self.object.storage)? {
                Some(attachment) => {
                    attached.insert(attachment.cgroup_id, pins);
                    attachments.push(attachment);
                }
                None => {
                    pins.remove()?;
                    collected(&path);
                }
            }
        }
        self.attached = attached;
        Ok(attachments)
    }

    /// Whether a link runs the program that this daemon attaches.
    pub(crate) const fn is_current(&self, attachment: &Attachment) -> bool {
        attachment.program_id == self.object.program_id
    }

    /// Attaches to a cgroup and puts a policy in force. On failure nothing stays attached.
    pub(crate) fn attach(
        &mut self,
        cgroup: Cgroup<'_>,
        policy_name: &str,
        policy: &Policy,
    ) -> Result<(), AttachError> {
        let pins = self.pins.cgroup(cgroup.path, cgroup.id);
        let link = self.link(cgroup)?;
        let pinned = self.write(cgroup.id, policy).and_then(|()| {
            let pinned = pins
                .create(cgroup.path)
                .and_then(|()| pins.set_policy(policy_name))
                .and_then(|()| pin(link, &pins.link()));
            pinned.map_err(|error| AttachError::Refused(format!("{error:#}")))
        });
        match pinned {
            Ok(()) => {
                self.attached.insert(cgroup.id, pins);
            }
            Err(_) => {
                // Best effort: the link is gone already, this is what a later attachment would find.
                let _ = self.object.storage.set_policy(cgroup.id, &Policy::NOTHING);
                let _ = pins.remove();
            }
        }
        pinned
    }

    /// Makes an attached cgroup run this daemon's program under `policy`, without a moment in which none runs. For
    /// a moment both do, and set the same values.
    pub(crate) fn replace(&mut self, cgroup: Cgroup<'_>, policy: &Policy) -> Result<(), AttachError> {
        let pins = self.attached(cgroup)?;
        let link = self.link(cgroup)?;
        // The storage may be a fresh one, if the map was removed by hand.
        self.write(cgroup.id, policy)?;
        put_in_place(link, &pins).map_err(|error| AttachError::Refused(format!("{error:#}")))
    }

    /// Puts another policy in force in an attached cgroup.
    pub(crate) fn set_policy(
        &mut self,
        cgroup: Cgroup<'_>,
        policy_name: &str,
        policy: &Policy,
    ) -> Result<(), AttachError> {
        let pins = self.attached(cgroup)?;
        self.write(cgroup.id, policy)?;
        pins.set_policy(policy_name).map_err(|error| AttachError::Refused(format!("{error:#}")))
    }

    /// Ends an attachment. The storage outlives the link, so it is cleared first: a later attachment must not
    /// begin with the policy of this one.
    pub(crate) fn detach(&mut self, cgroup_id: u64) -> Result<()> {
        self.object.storage.set_policy(cgroup_id, &Policy::NOTHING)?;
        match self.attached.remove(&cgroup_id) {
            Some(pins) => pins.remove(),
            None => Ok(()),
        }
    }

    /// The counters of an attached cgroup.
    pub(crate) fn counters(&self, cgroup_id: u64) -> Result<Option<Counters>> {
        self.object.storage.counters(cgroup_id)
    }

    /// Removes what versions with another layout of the maps left attached, but for the cgroups to `keep`, by their
    /// id, path and the name of their policy; called with everything else in force in this one, so that no
    /// connection falls between. Returns the layouts of which nothing is left.
    pub(crate) fn retire_other_layouts(
        &self,
        keep: impl Fn(u64, &str, &str) -> bool,
    ) -> Result<Vec<PathBuf>> {
        let mut retired = Vec::new();
        for layout in self.pins.other_layouts()? {
            if pins::retire_layout(&layout, &keep)? {
                retired.push(layout);
            }
        }
        Ok(retired)
    }

    fn link(&mut self, cgroup: Cgroup<'_>) -> Result<FdLink, AttachError> {
        let directory = open_cgroup(cgroup)?;
        match obstacles::find(&directory) {
            Ok(None) => self.object.attach(&directory),
            Ok(Some(obstacle)) => Err(AttachError::Refused(obstacle.to_string())),
            // A cgroup removed meanwhile answers ENODEV or ENOENT to the question.
            Err(_) if matches!(open_cgroup(cgroup), Err(AttachError::Gone)) => Err(AttachError::Gone),
            Err(error) => Err(AttachError::Refused(format!("{error:#}"))),
        }
    }

    fn attached(&self, cgroup: Cgroup<'_>) -> Result<CgroupPins, AttachError> {
        self.attached.get(&cgroup.id).cloned().ok_or(AttachError::Gone)
    }

    fn write(&mut self, cgroup_id: u64, policy: &Policy) -> Result<(), AttachError> {
        match self.object.storage.set_policy(cgroup_id, policy) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AttachError::Gone),
            Err(error) => Err(AttachError::Refused(format!("{error:#}"))),
        }
    }
}

/// A program attached for this process alone, without pins; it ends with the link.
pub(crate) struct Private {
    object: Object,
    _memory_limit: MemoryLimit,
}

/// Keeps a program attached that is not pinned.
pub(crate) struct PrivateLink {
    _link: FdLink,
}

impl Private {
    /// Loads the program; shares the claims of a daemon under `bpffs`, if there is one, so that its policy of
    /// an ancestor yields.
    pub(crate) fn load(bpffs: &Path) -> Result<Self> {
        let memory_limit = MemoryLimit::raise();
        let pins = Pins::new(bpffs).ok();
        Ok(Self { object: Object::load_private(pins.as_ref())?, _memory_limit: memory_limit })
    }

    /// Attaches to a cgroup; what is returned keeps the program attached.
    pub(crate) fn attach(&mut self, cgroup: Cgroup<'_>, policy: &Policy) -> Result<PrivateLink> {
        let directory = open_cgroup(cgroup)?;
        if let Some(obstacle) = obstacles::find(&directory)? {
            bail!("{obstacle}");
        }
        let link = self.object.attach(&directory)?;
        self.object.storage.set_policy(cgroup.id, policy)?;
        Ok(PrivateLink { _link: link })
    }

    /// The counters of an attached cgroup.
    pub(crate) fn counters(&self, cgroup_id: u64) -> Result<Option<Counters>> {
        self.object.storage.counters(cgroup_id)
    }
}

/// Checks that `bpffs` is one.
pub(crate) fn check_bpffs(bpffs: &Path) -> Result<()> {
    Pins::new(bpffs).map(drop)
}

/// What the pins show to whoever only looks: the attachments, each with its counters.
///
/// # Errors
/// If `bpffs` is none, or something else lies in the place of the pins.
pub(crate) fn inspect(bpffs: &Path) -> Result<Vec<(Attachment, Counters)>> {
    let pins = Pins::new(bpffs)?;
    let Some(storage) = Storage::pinned(&pins)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for pins in pins.cgroups()? {
        if let Some(attachment) = attachment(&pins, &storage)? {
            let counters = storage.counters(attachment.cgroup_id)?.unwrap_or_default();
            found.push((attachment, counters));
        }
    }
    Ok(found)
}

/// Removes everything ever pinned under `bpffs`, of every layout, and reports each thing to `removed`.
///
/// # Errors
/// If a daemon holds the pins, or one cannot be removed.
pub(crate) fn remove_all(bpffs: &Path, mut removed: impl FnMut(&str, &Path)) -> Result<()> {
    let pins = Pins::new(bpffs)?;
    if !pins.exist()? {
        return Ok(());
    }
    let lock = pins.lock()?;
    // Pins that are not ours to read are removed all the same; there is no storage to clear then.
    let mut storage = Storage::pinned(&pins).unwrap_or(None);
    for cgroup in pins.cgroups()? {
        if let Some(storage) = &mut storage
            && let Ok(pin) = sys::open_pin(&cgroup.link())
            && let Ok(info) = sys::link_info(pin.as_fd())
        {
            storage.set_policy(info.cgroup_id, &Policy::NOTHING)?;
        }
        cgroup.remove()?;
        removed("attachment", cgroup.directory());
    }
    let mut layouts = pins.other_layouts()?;
    layouts.extend(pins.layout().exists().then(|| pins.layout().to_owned()));
    for layout in layouts {
        pins::remove_layout(&layout)?;
        removed("pin directory", &layout);
    }
    pins.remove_top(lock)?;
    removed("pin directory", pins.top());
    Ok(())
}

/// Reads the pins of one cgroup; `None` if the link was never pinned or its cgroup is gone.
fn attachment(pins: &CgroupPins, storage: &Storage) -> Result<Option<Attachment>> {
    let path = pins.link();
    let link = match sys::open_pin(&path) {
        Ok(link) => link,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    let info = match sys::kind(link.as_fd())? {
        sys::Kind::Link => sys::link_info(link.as_fd())
            .with_context(|| format!("cannot describe the link {}", path.display()))?,
        kind => bail!(
            "{} is not a link but {kind:?}: it was not pinned by this daemon; remove it with \
             `keepalive-daemon cleanup`",
            path.display()
        ),
    };
    if info.attach_type != sys::SOCK_OPS {
        bail!(
            "{} is a link of another kind: it was not pinned by this daemon; remove it with \
             `keepalive-daemon cleanup`",
            path.display()
        );
    }
    if info.cgroup_id == 0 {
        return Ok(None);
    }
    Ok(Some(Attachment {
        cgroup_id: info.cgroup_id,
        path: pins.path().unwrap_or_default(),
        policy_name: pins.policy().unwrap_or_default(),
        stored: storage.policy(info.cgroup_id)?,
        program_id: info.program_id,
    }))
}

fn open_cgroup(cgroup: Cgroup<'_>) -> Result<File, AttachError> {
    let directory = File::open(cgroup.root.join(cgroup.path)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => AttachError::Gone,
        _ => AttachError::Refused(format!("cannot open the cgroup: {error}")),
    })?;
    // One of the same name may have been made after the other was seen.
    match directory.metadata() {
        Ok(metadata) if metadata.ino() == cgroup.id => Ok(directory),
        _ => Err(AttachError::Gone),
    }
}

fn pin(link: FdLink, path: &Path) -> Result<()> {
    link.pin(path)
        .map(drop)
        .with_context(|| format!("cannot pin the link as {}; is the bpffs writable?", path.display()))
}

/// Pins a link in the place of another, which ends.
fn put_in_place(link: FdLink, pins: &CgroupPins) -> Result<()> {
    let [current, next] = [pins.link(), pins.next_link()];
    pins.discard_unfinished()?;
    let old = sys::open_pin(&current).with_context(|| format!("cannot open {}", current.display()))?;
    pin(link, &next)?;
    fs::rename(&next, &current).with_context(|| format!("cannot put {} in place", current.display()))?;
    sys::detach_link(old.as_fd()).context("cannot detach the link of an earlier run")
}
