//! The network namespaces of the node: what a walk over sockets sees is those of one.

mod hidden;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::PathBuf,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// A network namespace. It is not held open: a pod may make any number of them, and the descriptors are few.
pub(in crate::kernel) struct Namespace {
    /// Where it was found: what `nsenter --net=` takes. One process may end while others stay in it.
    paths: Vec<PathBuf>,
    identity: Identity,
    /// Whether the calling thread is in it, and needs no right to enter it.
    is_own: bool,
}

/// The device and inode number, which no other namespace has as long as this one is there.
type Identity = (u64, u64);

impl Namespace {
    /// Where it was found first.
    pub(in crate::kernel) fn name(&self) -> String {
        self.paths.first().map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// What tells it from all others that are there at the same time, wherever it was found: `DEVICE:INODE`.
    pub(in crate::kernel) fn id(&self) -> String {
        let (device, inode) = self.identity;
        format!("{device}:{inode}")
    }

    /// Opens it; `None` if it is not where it was found any more.
    fn open(&self) -> Result<Option<File>> {
        for path in &self.paths {
            let opened = File::open(path).and_then(|file| Ok((identity(&file.metadata()?), file)));
            match opened {
                // The process may be in another by now.
                Ok((identity, _)) if identity != self.identity => {}
                Ok((_, file)) => return Ok(Some(file)),
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot open {}", path.display()));
                }
            }
        }
        Ok(None)
    }
}

/// What was found.
#[derive(Default)]
pub(in crate::kernel) struct Found {
    /// Each namespace once, that of the calling thread first.
    pub(in crate::kernel) namespaces: Vec<Namespace>,
    /// Where there may be others, and why they cannot be told.
    pub(in crate::kernel) unreachable: Vec<(String, String)>,
}

/// Finds the namespaces that a process is in, or that are mounted somewhere.
///
/// # Errors
/// If not even that of the calling thread can be opened, or /proc be listed.
pub(in crate::kernel) fn all() -> Result<Found> {
    let own = "/proc/thread-self/ns/net";
    let own = fs::metadata(own).with_context(|| format!("cannot look at {own}"))?;
    let own = Namespace {
        paths: vec![PathBuf::from(format!("/proc/{}/ns/net", std::process::id()))],
        identity: identity(&own),
        is_own: true,
    };
    let mut indices = BTreeMap::from([(own.identity, 0)]);
    let mut found = Found { namespaces: vec![own], unreachable: Vec::new() };
    let mut hidden = Vec::new();
    for path in processes()?.into_iter().chain(mounts()?) {
        let identity = match fs::metadata(&path) {
            Ok(metadata) => identity(&metadata),
            Err(error) if is_gone(&error) => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                hidden.push(path);
                continue;
            }
            Err(error) => {
                found.unreachable.push((path.display().to_string(), error.to_string()));
                continue;
            }
        };
        match indices.entry(identity) {
            Entry::Occupied(index) => {
                // It needs no way into its own, which most processes share.
                if let Some(known) = found.namespaces.get_mut(*index.get()).filter(|it| !it.is_own) {
                    known.paths.push(path);
                }
            }
            Entry::Vacant(vacant) => {
                vacant.insert(found.namespaces.len());
                found.namespaces.push(Namespace { paths: vec![path], identity, is_own: false });
            }
        }
    }
    let known = found.namespaces.iter().map(|it| &it.paths[..]);
    if let [first, others @ ..] = &hidden::worth_telling(hidden, known)[..] {
        let name = match others.len() {
            0 => first.display().to_string(),
            others => format!("{} and those of {others} other processes", first.display()),
        };
        let why =
            "this process may not look there (needs CAP_SYS_PTRACE, and all capabilities that the other has)";
        found.unreachable.push((name, why.to_owned()));
    }
    Ok(found)
}

/// Runs `f` in a namespace: on a thread of its own, which ends there and need not find the way back. `None` if the
/// namespace is gone.
///
/// # Errors
/// If the namespace cannot be entered; without its name, so that the like of it is told once.
pub(in crate::kernel) fn inside<T: Send>(
    namespace: &Namespace,
    f: impl FnOnce() -> T + Send,
) -> Result<Option<T>> {
    if namespace.is_own {
        return Ok(Some(f()));
    }
    let Some(file) = namespace.open()? else { return Ok(None) };
    thread::scope(|scope| {
        let run = || {
            setns(&file, CloneFlags::CLONE_NEWNET).context("it cannot be entered (needs CAP_SYS_ADMIN)")?;
            Ok(Some(f()))
        };
        let thread = thread::Builder::new()
            .name("namespace".to_owned())
            .spawn_scoped(scope, run)
            .context("cannot start a thread")?;
        thread.join().map_err(|_| anyhow!("the thread in {} panicked", namespace.name()))?
    })
}

/// What was found in a namespace.
pub(crate) struct InNamespace<T> {
    /// Where that was found.
    pub(crate) name: String,
    /// What tells it from all others: `DEVICE:INODE`.
    pub(crate) id: String,
    pub(crate) found: T,
}

/// What was found in each namespace that could be entered, that of the calling thread first.
type InEach<T> = Vec<InNamespace<T>>;

/// What could not be entered, and why.
type Unreachable = Vec<(String, String)>;

/// Runs `f` in every network namespace of the node.
///
/// # Errors
/// As [`all`].
pub(crate) fn in_every_namespace<T: Send>(f: impl Fn() -> T + Sync) -> Result<(InEach<T>, Unreachable)> {
    let Found { namespaces, mut unreachable } = all()?;
    let mut results = Vec::with_capacity(namespaces.len());
    for namespace in &namespaces {
        match inside(namespace, &f) {
            Ok(Some(found)) => {
                results.push(InNamespace { name: namespace.name(), id: namespace.id(), found });
            }
            Ok(None) => {}
            Err(error) => unreachable.push((namespace.name(), format!("{error:#}"))),
        }
    }
    Ok((results, unreachable))
}

fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Processes end while one looks, and mounts are removed.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn processes() -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let entry = entry.context("cannot list /proc")?;
        if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            paths.push(entry.path().join("ns/net"));
        }
    }
    Ok(paths)
}

/// Where namespaces are mounted, as `ip netns add` and the plugins of container runtimes do.
fn mounts() -> Result<Vec<PathBuf>> {
    let mounts = fs::read("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    Ok(mounts.split(|byte| *byte == b'\n').filter_map(mounted_namespace).collect())
}

/// The mount point, if a line of mountinfo is of a network namespace: `32 29 0:4 net:[4026532177] /run/netns/a rw
/// shared:6 - nsfs nsfs rw`.
pub(crate) fn mounted_namespace(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let mount_point = fields.next()?;
    root.starts_with(b"net:[").then(|| PathBuf::from(OsString::from_vec(unescape(mount_point))))
}

/// Spaces, tabs, line ends and backslashes in paths are written as a backslash and three octal digits.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal =
            tail.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = &tail[3..];
            }
            None => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_network_namespaces_are_found_among_the_mounts() {
        let line = br"32 29 0:4 net:[4026532177] /run/netns/with\040space\134 rw shared:6 - nsfs nsfs rw";

        assert_eq!(mounted_namespace(line), Some(PathBuf::from(r"/run/netns/with space\")));
    }

    #[test]
    fn other_mounts_are_none() {
        for line in [
            &b"33 29 0:4 mnt:[4026532177] /run/m rw - nsfs nsfs rw"[..],
            b"29 1 8:1 / /net:[1] rw - ext4 /dev/sda1 rw",
            b"29 1",
            b"",
        ] {
            assert_eq!(mounted_namespace(line), None);
        }
    }

    #[test]
    fn the_first_is_that_of_the_thread() {
        let found = all().expect("/proc tells");

        assert!(found.namespaces[0].is_own);
        assert_eq!(inside(&found.namespaces[0], || 7).expect("it is there already"), Some(7));
    }

    #[test]
    fn what_is_gone_is_not_entered_and_what_took_its_place_is_not_either() {
        let own = &all().expect("/proc tells").namespaces[0];
        let at = |path: &str, identity| Namespace { paths: vec![path.into()], identity, is_own: false };
        let (device, inode) = own.identity;

        let ended = at("/proc/8388608/ns/net", own.identity);
        let other = at("/proc/thread-self/ns/net", (device, inode + 1));
        let same = at("/proc/thread-self/ns/net", own.identity);

        assert!([ended, other].iter().all(|gone| matches!(inside(gone, || ()), Ok(None))));
        assert!(same.open().is_ok_and(|file| file.is_some()));
    }

    #[test]
    fn a_namespace_is_found_by_another_process_when_the_first_has_ended() {
        let identity = all().expect("/proc tells").namespaces[0].identity;
        let paths = ["/proc/8388608/ns/net", "/proc/thread-self/ns/net"].map(PathBuf::from).to_vec();

        let namespace = Namespace { paths, identity, is_own: false };

        assert!(namespace.open().is_ok_and(|file| file.is_some()));
    }
}
