//! What an application does and sees, step by step the same each time.

use std::net::SocketAddr;

use crate::{
    peer::{Call, Options, Others},
    support::{Host, Pair, Peer},
};
use xtask::lab::Cgroup;

/// Where the application listens, and the address under which it may be known as a service.
pub(super) const BACKEND: &str = "127.0.0.1:7777";
pub(super) const SERVICE: &str = "10.96.0.1:80";

pub(super) const IDLE: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE);
pub(super) const RECEIVE_BUFFER: (i32, i32) = (libc::SOL_SOCKET, libc::SO_RCVBUF);
pub(super) const NO_DELAY: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_NODELAY);
pub(super) const PRIORITY: (i32, i32) = (libc::SOL_SOCKET, libc::SO_PRIORITY);
pub(super) const TYPE_OF_SERVICE: (i32, i32) = (libc::SOL_IP, libc::IP_TOS);
const KEEPALIVE: (i32, i32) = (libc::SOL_SOCKET, libc::SO_KEEPALIVE);
const INTERVAL: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL);
const PROBES: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPCNT);
const USER_TIMEOUT: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);

/// Ten of the largest segments over Ethernet's 1500 bytes.
const SMALL_WINDOW: u64 = 10 * 1460;

/// The options that a policy has values for.
pub(super) const OWNED: [(i32, i32); 5] = [KEEPALIVE, IDLE, INTERVAL, PROBES, USER_TIMEOUT];

/// All that it saw.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Of both ends of a fresh connection, what a policy has values for.
    pub(super) owned: [Options; 2],
    /// All else, which must not depend on whether there is a policy.
    pub(super) rest: Rest,
}

/// A call of setsockopt, what it answered, and what getsockopt tells afterwards if no policy has that option.
type Called = (&'static str, Result<(), i32>, Option<Result<i32, i32>>);

/// What is none of a policy's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Whether the service could be connected to, and whether a datagram to it arrived.
    service: Result<(), String>,
    datagram: Result<usize, i32>,
    /// What `ss` tells of both ends.
    connection: Vec<Connection>,
    others: [Others; 2],
    /// What came over the connection, and at its end.
    received: [Result<usize, i32>; 2],
    end: Result<usize, i32>,
    calls: Vec<Called>,
}

impl Rest {
    /// The same, beside our guard. On 5.10 the kernel answers a call that is longer than a page with EFAULT, where programs
    /// run and none says that it leaves it alone. Those of others do not say it here, and ours does, as it would have
    /// such calls fail else: then the kernel answers what it thinks of the value.
    pub(super) fn guarded(mut self) -> Self {
        for (name, answer, _) in &mut self.calls {
            match (*name, &answer) {
                (LONG, Err(libc::EFAULT)) => *answer = Ok(()),
                (LONG_IDLE, Err(libc::EFAULT)) => *answer = Err(libc::EINVAL),
                _ => {}
            }
        }
        self
    }
}

/// A connection's inner values, as far as they do not depend on time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Connection {
    congestion: String,
    ecn: bool,
    window_scale: String,
    segment: String,
    congestion_window: String,
    /// Whether it is no larger than the program of others asks for.
    small_window: bool,
}

impl Connection {
    fn parse(row: &str) -> Self {
        let field = |name: &str| {
            let value = row.split(' ').find_map(|field| field.strip_prefix(name));
            value.unwrap_or_else(|| panic!("ss tells no {name} in {row}")).to_owned()
        };
        let words: Vec<&str> = row.split_whitespace().collect();
        // It has no name there, but its place.
        let scale = words.iter().position(|word| word.starts_with("wscale:")).unwrap();
        Self {
            congestion: words[scale - 1].to_owned(),
            ecn: words.contains(&"ecn"),
            window_scale: field("wscale:"),
            segment: field("mss:"),
            congestion_window: field("cwnd:"),
            small_window: field("rcv_ssthresh:").parse::<u64>().unwrap() <= SMALL_WINDOW,
        }
    }
}

/// Plays it in a cgroup of a host.
pub(super) fn play(host: &Host, cgroup: &Cgroup) -> Seen {
    let mut peer = host.peer(cgroup);
    let backend: SocketAddr = BACKEND.parse().unwrap();
    let listener = peer.open(backend, false);
    peer.listen_with(listener, backend);

    let visitor = peer.open(backend, false);
    let service = peer.try_connect(visitor, SERVICE.parse().unwrap());
    if service.is_ok() {
        let accepted = peer.accept(listener);
        let end = close(&mut peer, Pair { client: visitor, server: accepted });
        assert_eq!(end, Ok(0), "the service's connection ended otherwise than by its client");
    } else {
        peer.close(visitor);
    }

    let datagram = peer.datagram(SERVICE.parse().unwrap(), backend);

    let client = peer.open(backend, false);
    peer.connect_with(client, backend);
    let server = peer.accept(listener);
    let pair = Pair { client, server };
    let ends = [client, server];
    let owned = ends.map(|end| peer.options(end));
    let received = [(client, server), (server, client)].map(|(from, to)| {
        peer.send(from);
        peer.receive(to)
    });
    let connection = connections(host);
    let others = ends.map(|end| {
        let others = peer.others(end);
        Others { tos: others.tos.map(without_ecn), ..others }
    });
    let calls = calls(&mut peer, client);
    let end = close(&mut peer, pair);
    peer.close(listener);
    Seen { owned, rest: Rest { service, datagram, connection, others, received, end, calls } }
}

/// The end that connected, and the one that was accepted.
fn connections(host: &Host) -> Vec<Connection> {
    let details = host.netns.command("ss").args(["-tinoHO", "state", "established"]).output().unwrap();
    let mut rows: Vec<_> = String::from_utf8(details.stdout).unwrap().lines().map(str::to_owned).collect();
    rows.sort_by_key(|row| row.split_whitespace().nth(2) == Some(BACKEND));
    assert_eq!(rows.len(), 2, "{rows:?}");
    rows.iter().map(|row| Connection::parse(row)).collect()
}

/// Calls that are longer than a page, with a value that the kernel takes, and one that it refuses.
const LONG: &str = "a page and more";
const LONG_IDLE: &str = "idle of a page and more";

/// Calls of all kinds: such as the kernel takes, refuses, and never heard of.
fn calls(peer: &mut Peer, socket: usize) -> Vec<Called> {
    let number = |option, value: i32| Call::new(option, value);
    let bytes = |option, length| Call::of_bytes(option, vec![1; length]);
    [
        ("receive buffer", number(RECEIVE_BUFFER, 50_000)),
        ("no delay", number(NO_DELAY, 1)),
        ("priority", number(PRIORITY, 3)),
        ("priority that needs a right", number(PRIORITY, 7)),
        ("type of service", number(TYPE_OF_SERVICE, 8)),
        ("idle", number(IDLE, 7200)),
        ("idle out of range", number(IDLE, 40_000)),
        ("negative idle", number(IDLE, -5)),
        ("short idle", bytes(IDLE, 1)),
        ("interval", number(INTERVAL, 75)),
        ("probes", number(PROBES, 9)),
        ("probes out of range", number(PROBES, 200)),
        ("user timeout", number(USER_TIMEOUT, 0)),
        ("keep-alive", number(KEEPALIVE, 0)),
        ("no value", bytes(NO_DELAY, 0)),
        (LONG, bytes(NO_DELAY, 5000)),
        (LONG_IDLE, bytes(IDLE, 5000)),
        ("unknown option", number((libc::IPPROTO_TCP, 9999), 1)),
        ("unknown level", number((9999, libc::TCP_NODELAY), 1)),
    ]
    .into_iter()
    .map(|(name, call)| {
        let option = (call.level, call.name);
        let answer = peer.call(socket, call);
        let told = (!OWNED.contains(&option)).then(|| peer.read(socket, option));
        (name, answer, if option == TYPE_OF_SERVICE { told.map(|told| told.map(without_ecn)) } else { told })
    })
    .collect()
}

/// Without the two bits that the kernel sets by what each packet is.
const fn without_ecn(type_of_service: i32) -> i32 {
    type_of_service & !3
}

/// Closes one end, waits for the other to hear of it, and closes that.
fn close(peer: &mut Peer, pair: Pair) -> Result<usize, i32> {
    peer.close(pair.client);
    let end = peer.receive(pair.server);
    peer.close(pair.server);
    end
}
