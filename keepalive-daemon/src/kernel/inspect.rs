//! What the pins tell without a daemon: what is attached.

use std::{io, os::fd::AsFd as _, path::Path};

use anyhow::{Context as _, Result, bail};
use keepalive_ebpf::Counters;

use super::{
    AttachedGuard, Attachment,
    pins::{CgroupPins, Pins},
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
