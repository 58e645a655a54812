//! Ten thousand connections, each compared with what `ss` and getsockopt say of it.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use serde_json::Value;
use xtask::lab::{self, Netns, SocketRow, TEST_PREFIX};

use super::{rows, sockets, told};
use crate::{
    peer::Options,
    support::{Host, Peer, document, scaled},
};

/// In each of four namespaces.
const PAIRS: usize = 1250;
/// Every so many have options, and data, of their own.
const OWN: usize = 50;
/// The shortest idle time of these.
const OWN_IDLE: u64 = 300;
/// The kernel counts timers in ticks of ten milliseconds at most.
const TICK: i64 = 20;

/// By the name of the namespace and both ends.
type Key = (SocketAddr, SocketAddr);

/// When something was told: between these two, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Moment(i64, i64);

impl Moment {
    fn of<T>(start: Instant, work: impl FnOnce() -> T) -> (Self, T) {
        let now = || i64::try_from(start.elapsed().as_millis()).unwrap();
        let before = now();
        let result = work();
        (Self(before, now()), result)
    }

    /// Whether two times from now on can be of one moment: what was left at each, and how much of that was cut off.
    fn agree(self, left: i64, other: Self, other_left: i64, cut: i64) -> bool {
        self.0 + left <= other.1 + other_left + cut + TICK && other.0 + other_left <= self.1 + left + TICK
    }
}

/// What `ss -i` says of a connection beside the rest.
#[derive(Debug)]
struct Times {
    sent: i64,
    received: i64,
    acknowledged: i64,
}

pub(super) fn ten_thousand_in_four_namespaces_agree_with_ss() {
    let pairs = scaled(PAIRS);
    let host = Host::new("thousands");
    let cgroups = ["app", "second", "third", "free"].map(|path| host.cgroup(path));
    let others = ["second", "third", "free"].map(|label| Netns::create(TEST_PREFIX, label).unwrap());
    let netnses = [&host.netns, &others[0], &others[1], &others[2]];
    let program = std::env::current_exe().unwrap();
    let policy = |idle| format!("keepalive: {{idle: {idle}s, interval: 15s, probes: 4}}, userTimeout: 900s");
    host.write_policies("p.yaml", &document("p", "app", &policy(600)));
    host.write_policies("q.yaml", &document("q", "{second,third}", &policy(800)));
    let _daemon = host.start();
    let mut peers: Vec<Peer> = Vec::new();
    for (netns, cgroup) in netnses.iter().zip(&cgroups) {
        let mut peer = Peer::spawn(netns.command(&program), cgroup);
        peer.pairs(pairs);
        // The sockets are numbered as they were made, the ends of a pair after each other.
        for pair in (0..pairs).step_by(OWN) {
            // Tighter than the policies', so that they stay.
            let idle = OWN_IDLE + u64::try_from(pair / OWN).unwrap();
            let own = Options { keepalive: Some(true), idle_s: Some(idle), ..Options::default() };
            peer.set(2 * pair + 1, own);
            peer.send(2 * pair + 1);
        }
        peers.push(peer);
    }
    let start = Instant::now();

    let (listed_at, listing) =
        Moment::of(start, || sockets(&host, &["--all", "--cgroup", "{app,second,third,free}"]));

    let listing_rows = rows(&listing);
    assert_eq!(listing_rows.len(), 4 * 2 * pairs, "{}", listing["summary"]);
    assert_eq!(listing["summary"]["missing"], Value::Array(Vec::new()));
    for (at, (netns, peer)) in netnses.iter().zip(&mut peers).enumerate() {
        let cgroup = ["app", "second", "third", "free"][at];
        let mut by_ends: BTreeMap<Key, &Value> = BTreeMap::new();
        for row in listing_rows.iter().filter(|row| row["cgroup"] == cgroup) {
            let end = |name: &str| row[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
            assert!(by_ends.insert((end("local"), end("remote")), row).is_none(), "listed twice: {row}");
        }
        let (shown_at, shown) = Moment::of(start, || lab::sockets(netns).unwrap());
        let (timed_at, times) = Moment::of(start, || times(netns));
        assert_eq!([by_ends.len(), shown.len(), times.len()], [2 * pairs; 3], "{cgroup}");
        for shown in &shown {
            let row = by_ends[&(shown.local, shown.peer)];
            compare(listed_at, row, shown_at, shown);
            compare_times(listed_at, row, timed_at, &times[&(shown.local, shown.peer)]);
        }
        for (local, remote, options) in peer.each_options() {
            assert_eq!(told(by_ends[&(local, remote)]), options, "{local} {remote}");
        }
        let count = |verdict: &str| by_ends.values().filter(|row| row["verdict"] == verdict).count();
        let own = pairs.div_ceil(OWN);
        let expected = if cgroup == "free" { [0, own, 2 * pairs - own] } else { [2 * pairs - own, own, 0] };
        assert_eq!(["policy", "application", "off"].map(count), expected, "{cgroup}");
    }
}

fn compare(listed_at: Moment, row: &Value, shown_at: Moment, shown: &SocketRow) {
    assert_eq!(row["state"], shown.state.as_str(), "{row} {shown:?}");
    let pids: Vec<u64> = shown.pids.iter().map(|pid| u64::from(*pid)).collect();
    assert_eq!(pids, row["process"]["pid"].as_u64().into_iter().collect::<Vec<_>>(), "{row}");
    let timer = &row["timer"];
    let Some(shown) = &shown.timer else {
        assert!(timer.is_null(), "{row}");
        return;
    };
    assert_eq!(
        (timer["kind"].as_str(), timer["unanswered"].as_u64()),
        (Some(&*shown.name), Some(shown.retries.into()))
    );
    let left = timer["expiresMilliseconds"].as_i64().unwrap();
    let shown_left = i64::try_from(shown.remaining.as_millis()).unwrap();
    // From ten seconds on `ss` cuts off what is less than a second, and from ten minutes on, less than a minute.
    let cut = match shown.remaining.as_secs() {
        ..10 => 0,
        _ if shown.shown.contains("sec") => 1000,
        _ => 60_000,
    };
    assert!(listed_at.agree(left, shown_at, shown_left, cut), "{listed_at:?} {row} {shown_at:?} {shown:?}");
}

fn compare_times(listed_at: Moment, row: &Value, shown_at: Moment, shown: &Times) {
    let ago = |name: &str| row[name].as_i64().unwrap();
    let [sent, received, acknowledged] =
        ["lastDataSentMilliseconds", "lastDataReceivedMilliseconds", "lastAckReceivedMilliseconds"].map(ago);
    // Whenever each was told, all of it is of one moment: how far apart these are does not depend on that.
    for (apart, shown_apart) in [
        (sent - acknowledged, shown.sent - shown.acknowledged),
        (received - acknowledged, shown.received - shown.acknowledged),
    ] {
        assert!(apart.abs_diff(shown_apart) <= TICK.unsigned_abs(), "{row} {shown:?}");
    }
    let agree = listed_at.agree(-acknowledged, shown_at, -shown.acknowledged, 0);
    assert!(agree, "{listed_at:?} {row} {shown_at:?} {shown:?}");
}

/// What `ss -i` says of each connection; it leaves out what is zero.
fn times(netns: &Netns) -> BTreeMap<Key, Times> {
    let output = netns.command("ss").args(["-tniHO"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let end = |at: usize| fields[at].parse::<SocketAddr>().unwrap();
        let ago = |name: &str| {
            fields.iter().find_map(|field| field.strip_prefix(name)).map_or(0, |ago| ago.parse().unwrap())
        };
        let times = Times { sent: ago("lastsnd:"), received: ago("lastrcv:"), acknowledged: ago("lastack:") };
        ((end(3), end(4)), times)
    };
    table.lines().map(of_line).collect()
}
