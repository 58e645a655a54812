//! What a network namespace does to connections.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a namespace begins with, and has as long as nobody cares: five days.
const UNTOUCHED_CONNTRACK_TIMEOUT: u32 = 432_000;

/// What IPVS begins with. It tells what it has over netlink only, where `ipvsadm` asks.
const IPVS_TCP_TIMEOUT: u32 = 900;

/// Interfaces that the kernel puts into every namespace when a module for tunnels is there; nothing passes them.
const FALLBACKS: [&str; 9] =
    ["lo", "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0"];

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Namespace {
    /// Where it was found: what `nsenter --net=` takes.
    pub(crate) name: String,
    /// What tells it from all others that are there at the same time, wherever each was found: `DEVICE:INODE`.
    pub(crate) id: String,
    /// Whether it is the node's own: that of the first process or, where that cannot be seen, of the daemon.
    pub(crate) is_nodes: bool,
    /// Whether it hands on what is not for itself, and has more than one interface to do so.
    pub(crate) forwards: bool,
    /// Namespaces of this node that, by its routes, may hand on what it sends, by their names.
    pub(crate) forwarded_by: Vec<String>,
    /// Absent where the kernel has no connection tracking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conntrack: Option<Conntrack>,
    /// Absent where it balances nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipvs: Option<Ipvs>,
    /// What sockets get that ask for keep-alive and for no values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep_alive_defaults: Option<KeepAliveDefaults>,
}

/// Connection tracking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conntrack {
    /// After how much silence an established connection is forgotten.
    pub(crate) established_timeout_seconds: u32,
    /// How many connections, of all protocols, it knows now.
    pub(crate) entries: u32,
    /// Whether it is at work: it knows connections, or somebody cared for its timeout.
    pub(crate) in_use: bool,
}

/// IPVS, which kube-proxy can use to balance services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ipvs {
    /// How many TCP services it balances.
    pub(crate) tcp_services: u32,
    /// After how much silence it forgets a connection, unless somebody changed that: the kernel's default.
    pub(crate) assumed_tcp_timeout_seconds: u32,
}

/// The values of sockets that ask for keep-alive and for no values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeepAliveDefaults {
    pub(crate) idle_seconds: u32,
    pub(crate) interval_seconds: u32,
    pub(crate) probes: u32,
}

impl Ipvs {
    pub(crate) const fn new(tcp_services: u32) -> Self {
        Self { tcp_services, assumed_tcp_timeout_seconds: IPVS_TCP_TIMEOUT }
    }
}

/// Reads the files of the calling thread's network namespace in a `/proc`; its name is the caller's to add.
pub(super) fn read(proc: &Path) -> Namespace {
    let sysctl = |name: &str| number::<u32>(&proc.join("sys/net").join(name));
    let of_thread = |name: &str| lines(&proc.join("thread-self/net").join(name));
    let may_forward = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].iter().any(|it| sysctl(it) == Some(1));
    let conntrack = sysctl("netfilter/nf_conntrack_tcp_timeout_established").map(|timeout| {
        let entries = sysctl("netfilter/nf_conntrack_count").unwrap_or_default();
        Conntrack {
            established_timeout_seconds: timeout,
            entries,
            in_use: entries > 0 || timeout != UNTOUCHED_CONNTRACK_TIMEOUT,
        }
    });
    let defaults = |name| sysctl(&format!("ipv4/tcp_keepalive_{name}"));
    Namespace {
        forwards: may_forward && interfaces(of_thread("dev")) > 1,
        conntrack,
        ipvs: Some(tcp_services(of_thread("ip_vs"))).filter(|services| *services > 0).map(Ipvs::new),
        keep_alive_defaults: defaults("time").zip(defaults("intvl")).zip(defaults("probes")).map(
            |((idle_seconds, interval_seconds), probes)| KeepAliveDefaults {
                idle_seconds,
                interval_seconds,
                probes,
            },
        ),
        ..Namespace::default()
    }
}

fn number<T: FromStr>(path: &Path) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The lines of a file, none if it is not there: some of them can have a million.
pub(super) fn lines(path: &Path) -> impl Iterator<Item = String> + use<> {
    let file = File::open(path).ok();
    // The name of an interface need not be text.
    let lines = file.into_iter().flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok));
    lines.map(|line| String::from_utf8_lossy(&line).into_owned())
}

/// How many interfaces there are that packets can come in by or leave by.
pub(crate) fn interfaces(dev: impl Iterator<Item = String>) -> usize {
    let is_one =
        |line: &String| line.split_once(':').is_some_and(|(name, _)| !FALLBACKS.contains(&name.trim()));
    dev.filter(is_one).count()
}

/// How many TCP services are balanced.
pub(crate) fn tcp_services(ip_vs: impl Iterator<Item = String>) -> u32 {
    ip_vs.map(|line| u32::from(line.starts_with("TCP "))).sum()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:       0       0    0    0    0     0          0         0        0       0    0    0
 tunl0:       0       0    0    0    0     0          0         0        0       0    0    0
  eth0: 1000000    2000    0    0    0     0          0         0   500000    1500    0    0
";

    fn found(files: &[(&str, &str)]) -> Namespace {
        let proc = TempDir::new().expect("a directory");
        for (name, text) in files {
            let path = proc.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(proc.path())).expect("it is ours");
            fs::write(path, text).expect("it is ours");
        }
        read(proc.path())
    }

    #[test]
    fn a_router_has_two_interfaces_and_leave_to_forward() {
        let two = format!("{DEV} veth1: 0 0\n");
        for (dev, forward, expected) in [(&two[..], "1\n", true), (DEV, "1\n", false), (&two, "0\n", false)] {
            let of_v4 = found(&[("thread-self/net/dev", dev), ("sys/net/ipv4/ip_forward", forward)]);
            let of_v6 = found(&[("thread-self/net/dev", dev), ("sys/net/ipv6/conf/all/forwarding", forward)]);

            assert_eq!((of_v4.forwards, of_v6.forwards), (expected, expected), "{forward} {dev}");
        }
    }

    #[test]
    fn an_interface_with_a_name_that_is_no_text_hides_none() {
        let proc = TempDir::new().expect("a directory");
        let path = proc.path().join("dev");
        fs::write(&path, b" \xff0: 0 0\n veth1: 0 0\n").expect("it is ours");

        assert_eq!(interfaces(lines(&path)), 2);
    }

    #[test]
    fn tracking_is_at_work_where_it_knows_something_or_somebody_set_it_up() {
        const TIMEOUT: &str = "sys/net/netfilter/nf_conntrack_tcp_timeout_established";
        const COUNT: &str = "sys/net/netfilter/nf_conntrack_count";
        for (timeout, count, in_use) in [("432000", "0", false), ("432000", "1", true), ("5", "0", true)] {
            let conntrack = found(&[(TIMEOUT, timeout), (COUNT, count)]).conntrack;

            assert_eq!(conntrack.map(|it| it.in_use), Some(in_use), "{timeout} {count}");
        }
        assert_eq!(found(&[]).conntrack, None);
    }

    #[test]
    fn ipvs_is_at_work_where_it_has_services() {
        let header = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> \
                      RemoteAddress:Port Forward Weight ActiveConn InActConn\n";
        let services = "TCP  0A600001:01BB rr\n  -> 0A000005:192B Masq 1 2 0\nUDP  0A60000A:0035 rr\n";

        assert_eq!(found(&[("thread-self/net/ip_vs", header)]).ipvs, None);
        let ipvs = found(&[("thread-self/net/ip_vs", &format!("{header}{services}"))]).ipvs;
        assert_eq!(ipvs, Some(Ipvs { tcp_services: 1, assumed_tcp_timeout_seconds: 900 }));
    }

    #[test]
    fn the_defaults_of_keep_alive_are_those_of_the_namespace() {
        let here = read(Path::new("/proc")).keep_alive_defaults;
        let path = |name| format!("/proc/sys/net/ipv4/tcp_keepalive_{name}");
        let [time, intvl, probes] = ["time", "intvl", "probes"].map(|it| number(Path::new(&path(it))));

        let expected = time.zip(intvl).zip(probes).map(|((idle_seconds, interval_seconds), probes)| {
            KeepAliveDefaults { idle_seconds, interval_seconds, probes }
        });
        assert!(here.is_some());
        assert_eq!(here, expected);
    }
}
