//! How all that is pinned is removed: the attachments first, and then the maps, once they can be freed.

use std::{
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use keepalive_ebpf::Policy;

use super::{
    pins::{self, Pins},
    remains::{self, Gone},
    storage::Storage,
    sys,
};

/// How long the kernel may take, as a rule, to let go of a cgroup that was removed.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Removes everything ever pinned under `bpffs`, of every layout, and reports each thing to `removed`. `cgroup_root` tells
/// where cgroups are; it is asked if it matters.
///
/// # Errors
/// If a daemon holds the pins, one cannot be removed, or the kernel keeps something for cgroups that are gone: the first,
/// after all else was done.
pub(crate) fn remove_all(
    bpffs: &Path,
    cgroup_root: impl Fn() -> Result<PathBuf>,
    mut removed: impl FnMut(&str, &Path),
) -> Result<()> {
    let pins = Pins::new(bpffs)?;
    if !pins.exist()? {
        return Ok(());
    }
    let lock = pins.lock()?;
    let mut all = detach_all(&pins, &mut removed);
    let mut layouts = pins.other_layouts()?;
    for other in &layouts {
        all = all.and(pins::retire_layout(other, |_, _, _| false).map(drop));
    }
    layouts.extend(pins.layout().exists().then(|| pins.layout().to_owned()));
    let until = Instant::now() + LETTING_GO;
    for layout in &layouts {
        let done = await_freeable(layout, until, &cgroup_root).and_then(|()| pins::remove_layout(layout));
        if done.is_ok() {
            removed("pin directory", layout);
        }
        all = all.and(done.with_context(|| format!("{} stays", layout.display())));
    }
    all?;
    pins.remove_top(lock)?;
    removed("pin directory", pins.top());
    Ok(())
}

/// Ends the attachments of this version.
fn detach_all(pins: &Pins, removed: &mut impl FnMut(&str, &Path)) -> Result<()> {
    // Pins that are not ours to read are removed all the same; there is no storage to clear then.
    let mut storage = Storage::pinned(pins).unwrap_or(None);
    let mut all = Ok(());
    for cgroup in pins.cgroups()? {
        if let Some(storage) = &mut storage
            && let Ok(pin) = sys::open_pin(&cgroup.link())
            && let Ok(info) = sys::link_info(pin.as_fd())
        {
            all = all.and(storage.set_policy(info.cgroup_id, &Policy::NOTHING).map(drop));
        }
        let done = cgroup.remove();
        if done.is_ok() {
            removed("attachment", cgroup.directory());
        }
        all = all.and(done);
    }
    all
}

/// Waits until the kernel keeps nothing in the maps of a layout but for cgroups that are there.
fn await_freeable(layout: &Path, until: Instant, cgroup_root: impl Fn() -> Result<PathBuf>) -> Result<()> {
    loop {
        let gone = match remains::gone(layout, &cgroup_root)? {
            Gone::None => return Ok(()),
            Gone::Unseen(gone, why) => bail!(
                "the kernel keeps something there for cgroups ({gone}) that are not to be seen, and may be there all the \
                 same, as {why}: try again with all rights, where the whole hierarchy is mounted"
            ),
            Gone::Some(gone) => gone,
        };
        if Instant::now() >= until {
            bail!(
                "the kernel keeps something there for cgroups that are gone ({gone}): until the last sockets that were \
                 made in them are closed, and the network namespaces, wherever those are by now. Try again later; if \
                 there are none, it was for a cgroup that was removed while it was attached to, and the kernel would \
                 stop if that were freed: leave it to the next start of this machine, do not remove it or unmount its \
                 bpffs by hand"
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What became of the layout of another version whose last attachment has ended.
pub(crate) enum Retired {
    /// Nothing is left of it.
    Removed,
    /// Its maps stay: the kernel keeps something in them for so many cgroups that are gone.
    Kept(usize),
}

/// As [`super::Kernel::retire_other_layouts`].
pub(super) fn retire_others(
    pins: &Pins,
    considers: impl Fn(&Path) -> bool,
    cgroup_root: &Path,
    keep: impl Fn(u64, &str, &str) -> bool,
) -> Result<Vec<(PathBuf, Result<Retired>)>> {
    let mut layouts = pins.other_layouts()?;
    layouts.retain(|layout| considers(layout));
    let retired = layouts.into_iter().filter_map(|layout| {
        let retired = retire(&layout, cgroup_root, &keep).transpose()?;
        Some((layout, retired))
    });
    Ok(retired.collect())
}

/// `None` if something is to stay attached.
fn retire(
    layout: &Path,
    cgroup_root: &Path,
    keep: impl Fn(u64, &str, &str) -> bool,
) -> Result<Option<Retired>> {
    if !pins::retire_layout(layout, &keep)? {
        return Ok(None);
    }
    match remains::gone(layout, || Ok(cgroup_root.to_owned()))? {
        Gone::None => pins::remove_layout(layout).map(|()| Some(Retired::Removed)),
        Gone::Some(gone) | Gone::Unseen(gone, _) => Ok(Some(Retired::Kept(gone))),
    }
}
