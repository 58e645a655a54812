//! What the pins tell without a daemon: what is attached, and how to be rid of it.

use std::{
    collections::BTreeSet,
    io,
    os::fd::AsFd as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use keepalive_ebpf::{Counters, Policy};

use super::{
    AttachedGuard, Attachment,
    pins::{self, CgroupPins, Pins},
    remains,
    storage::Storage,
    sys::{self, Hook},
};

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

/// How long the kernel may take, as a rule, to let go of a cgroup that was removed.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Removes everything ever pinned under `bpffs`, of every layout, and reports each thing to `removed`. `present` tells the
/// ids of the cgroups that there are.
///
/// # Errors
/// If a daemon holds the pins, one cannot be removed, or the kernel keeps something for cgroups that are gone.
pub(crate) fn remove_all(
    bpffs: &Path,
    present: impl Fn() -> BTreeSet<u64>,
    mut removed: impl FnMut(&str, &Path),
) -> Result<()> {
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
        pins::retire_layout(&layout, |_, _, _| false)?;
        await_remains(&layout, &present)?;
        pins::remove_layout(&layout)?;
        removed("pin directory", &layout);
    }
    pins.remove_top(lock)?;
    removed("pin directory", pins.top());
    Ok(())
}

/// Waits until the kernel keeps nothing in the maps of a layout but for cgroups that are there.
fn await_remains(layout: &Path, present: impl Fn() -> BTreeSet<u64>) -> Result<()> {
    let until = Instant::now() + LETTING_GO;
    loop {
        let kept = remains::cgroups(&pins::maps(layout))?;
        let gone = kept.difference(&present()).count();
        if gone == 0 {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!(
                "the kernel keeps what it had for cgroups that are gone ({gone}), for sockets of theirs that are left, \
                 or, where one was removed as it was attached to, for good, and then does not survive freeing it; {} \
                 stays: try again once those sockets are closed, or be rid of it with the next start of this machine",
                layout.display()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Reads the pins of one cgroup; `None` if the link was never pinned or its cgroup is gone.
pub(super) fn attachment(pins: &CgroupPins, storage: &Storage) -> Result<Option<Attachment>> {
    let path = pins.link();
    let link = match sys::open_pin(&path) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
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
    if info.attach_type != Hook::SockOps.attach_type() {
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
        stored: storage.policy(info.cgroup_id, Hook::SockOps)?,
        swept: pins.swept(),
        program_id: info.program_id,
        guard: guard(pins, storage, info.cgroup_id)?,
    }))
}

/// Reads the pin of a cgroup's guard.
fn guard(pins: &CgroupPins, storage: &Storage, cgroup_id: u64) -> Result<Option<AttachedGuard>> {
    let path = pins.guard();
    let link = match sys::open_pin(&path) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    let is_attached = |info: &sys::LinkInfo| {
        info.cgroup_id == cgroup_id && info.attach_type == Hook::Setsockopt.attach_type()
    };
    let info = match sys::kind(link.as_fd())? {
        sys::Kind::Link => sys::link_info(link.as_fd()).ok().filter(is_attached),
        _ => None,
    };
    let stored = storage.policy(cgroup_id, Hook::Setsockopt)?;
    Ok(Some(AttachedGuard { program_id: info.map(|info| info.program_id), stored }))
}
