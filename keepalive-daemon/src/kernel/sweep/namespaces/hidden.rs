//! Processes into which this one may not look, such as a first process that holds a capability more: which network
//! namespace they are in `/proc/PID/ns` does not say, but the kernel shows everybody the files of `/proc/PID/net`, and
//! these are of the namespace.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The device and inode number of a file that each network namespace has for itself, for as long as it is there.
type Mark = (u64, u64);

/// States of sockets that are no connections, or none any more, as `/proc/net/tcp` writes them: `TIME-WAIT`, closed,
/// `LISTEN`.
const UNCONNECTED: [&str; 3] = ["06", "07", "0A"];

/// Of processes, given as their `/proc/PID/ns/net`, those that are in a namespace which none of `known` is in, and which
/// has connections: one process of each namespace.
pub(super) fn worth_telling<'a>(
    hidden: Vec<PathBuf>,
    known: impl Iterator<Item = &'a [PathBuf]>,
) -> Vec<PathBuf> {
    if hidden.is_empty() {
        return hidden;
    }
    let mut seen: BTreeSet<Mark> = known.filter_map(|paths| paths.iter().find_map(|it| mark(it))).collect();
    let mut told = hidden;
    // One that shows nothing may have anything.
    told.retain(|path| mark(path).is_none_or(|mark| seen.insert(mark) && has_connections(path)));
    told
}

fn mark(namespace: &Path) -> Option<Mark> {
    let metadata = fs::metadata(files(namespace)?.join("dev")).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The files of the network namespace of a process, given as its `/proc/PID/ns/net`.
fn files(namespace: &Path) -> Option<PathBuf> {
    Some(namespace.parent()?.parent()?.join("net"))
}

/// Whether a list would have anything of it; also if that cannot be told.
fn has_connections(namespace: &Path) -> bool {
    let Some(files) = files(namespace) else { return true };
    ["tcp", "tcp6"].iter().any(|name| match File::open(files.join(name)) {
        Ok(file) => {
            BufReader::new(file).lines().skip(1).any(|line| !line.is_ok_and(|it| is_unconnected(&it)))
        }
        // A kernel without IPv6 has no connections of it.
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    })
}

/// Whether a line is of no connection: `0: 0100007F:07E8 00000000:0000 0A …`.
fn is_unconnected(line: &str) -> bool {
    line.split_whitespace().nth(3).is_some_and(|state| UNCONNECTED.contains(&state))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::slice;

    use tempfile::TempDir;

    use super::*;

    const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n";
    const LISTENS: &str = "   0: 0100007F:07E8 00000000:0000 0A 00000000:00000000\n";
    const WAITS: &str = "   1: 020200C0:A15C 507100CB:0050 06 00000000:00000000\n";
    const OPEN: &str = "   2: 020200C0:A15C 507100CB:0050 01 00000000:00000000\n";

    /// A process as /proc shows it to one that may not look into it.
    fn process(proc: &TempDir, pid: u32, tcp: &str) -> PathBuf {
        let process = proc.path().join(pid.to_string());
        fs::create_dir_all(process.join("net")).unwrap();
        fs::write(process.join("net/dev"), "").unwrap();
        fs::write(process.join("net/tcp"), format!("{HEADER}{tcp}")).unwrap();
        process.join("ns/net")
    }

    #[test]
    fn a_namespace_that_is_reached_by_another_process_hides_nothing() {
        let proc = TempDir::new().unwrap();
        let [first, second] = [1, 2].map(|pid| process(&proc, pid, OPEN));
        // As in one namespace, whose files are the same.
        fs::remove_file(proc.path().join("2/net/dev")).unwrap();
        fs::hard_link(proc.path().join("1/net/dev"), proc.path().join("2/net/dev")).unwrap();

        let known = [vec![PathBuf::from("/run/netns/a"), second]];

        assert!(worth_telling(vec![first.clone()], known.iter().map(Vec::as_slice)).is_empty());
        assert_eq!(worth_telling(vec![first.clone()], std::iter::empty()), slice::from_ref(&first));
    }

    #[test]
    fn a_namespace_without_connections_has_nothing_to_hide() {
        let proc = TempDir::new().unwrap();
        let idle = process(&proc, 1, &format!("{LISTENS}{WAITS}"));
        let busy = process(&proc, 2, &format!("{LISTENS}{OPEN}"));
        let (gone, mangled) = (proc.path().join("3/ns/net"), process(&proc, 4, "?\n"));

        let told = worth_telling(vec![idle, busy.clone(), gone.clone(), mangled.clone()], std::iter::empty());

        assert_eq!(told, [busy, gone, mangled]);
    }

    #[test]
    fn namespaces_of_the_kernel_differ_by_their_files() {
        let own = PathBuf::from("/proc/thread-self/ns/net");
        let elsewhere = std::thread::spawn({
            let own = own.clone();
            move || nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).ok().and_then(|()| mark(&own))
        });

        assert!(mark(&own).is_some());
        assert_eq!(mark(&own), mark(Path::new("/proc/self/ns/net")));
        // Without the right to make one there is none to compare with.
        assert!(elsewhere.join().unwrap().is_none_or(|other| Some(other) != mark(&own)));
    }
}
