//! Calls of all kinds, each made in a guarded cgroup and in one that nothing governs.

use super::{IDLE, INTERVAL, KEEPALIVE, PROBES, Site, USER_TIMEOUT};
use crate::peer::Call;

/// A call, and what the guarded socket has afterwards if that is not what the other one has.
struct Case {
    option: (i32, i32),
    value: Vec<u8>,
    held: Option<i32>,
}

fn same(option: (i32, i32), value: i32) -> Case {
    of_bytes(option, value.to_ne_bytes().to_vec(), None)
}

fn held(option: (i32, i32), value: i32, held: i32) -> Case {
    of_bytes(option, value.to_ne_bytes().to_vec(), Some(held))
}

const fn of_bytes(option: (i32, i32), value: Vec<u8>, held: Option<i32>) -> Case {
    Case { option, value, held }
}

/// A value, and what fills the rest of so many bytes.
fn padded(value: i32, length: usize) -> Vec<u8> {
    let mut bytes = value.to_ne_bytes().to_vec();
    bytes.resize(length, 0xa5);
    bytes
}

fn cases() -> Vec<Case> {
    let guarded =
        [(KEEPALIVE, 0, 1), (IDLE, 7200, 60), (INTERVAL, 75, 15), (PROBES, 9, 4), (USER_TIMEOUT, 0, 90_000)];
    let mut cases = Vec::new();
    for (option, weaker, wanted) in guarded {
        cases.extend([same(option, wanted), held(option, weaker, wanted)]);
        // Too short to be a value; the kernel's EINVAL.
        cases.extend([0, 1, 3].map(|length| of_bytes(option, padded(weaker, 4)[..length].to_vec(), None)));
        // Longer than it need be; beyond a page, programs see a part.
        cases.extend(
            [5, 8, 4096, 4097, 8192].map(|length| of_bytes(option, padded(weaker, length), Some(wanted))),
        );
        cases.push(of_bytes(option, padded(wanted, 8192), None));
    }
    // What the kernel refuses, the guard must not turn into what it takes.
    for option in [IDLE, INTERVAL, PROBES] {
        cases.extend([0, -1, -5, i32::MIN, 32_768, i32::MAX].map(|value| same(option, value)));
    }
    cases.extend([128, 32_767].map(|value| same(PROBES, value)));
    cases.extend([-1, i32::MIN].map(|value| same(USER_TIMEOUT, value)));
    cases.extend([held(IDLE, 32_767, 60), held(PROBES, 127, 4), held(USER_TIMEOUT, i32::MAX, 90_000)]);
    cases.extend([same(IDLE, 59), same(INTERVAL, 1), same(PROBES, 1), same(USER_TIMEOUT, 1)]);
    cases.extend([same(KEEPALIVE, 2), same(KEEPALIVE, -1)]);
    cases.extend(others());
    cases
}

/// Options of other levels and names, some with the numbers of those that are guarded, known and unknown.
fn others() -> Vec<Case> {
    let tcp = [libc::TCP_NODELAY, libc::TCP_MAXSEG, libc::TCP_SYNCNT, libc::TCP_QUICKACK, 9999];
    let socket =
        [libc::SO_RCVBUF, libc::SO_PRIORITY, libc::SO_LINGER, libc::SO_REUSEADDR, libc::TCP_KEEPIDLE, 9999];
    let ip = [libc::IP_TOS, libc::IP_TTL, libc::SO_KEEPALIVE, 9999];
    let named =
        [(libc::IPPROTO_TCP, &tcp[..]), (libc::SOL_SOCKET, &socket), (libc::IPPROTO_IP, &ip), (9999, &[1])];
    let options = named.into_iter().flat_map(|(level, names)| names.iter().map(move |name| (level, *name)));
    let cases = options.flat_map(|option| {
        [0, 1, 4, 8, 4096, 4097, 70_000]
            .map(|length| of_bytes(option, padded(100, 70_000)[..length].to_vec(), None))
    });
    cases.collect()
}

pub(super) fn each_call_answers_as_without_a_guard() {
    let site = Site::new("table");
    let _daemon = site.start();
    let free = site.host.cgroup("free");
    let (mut guarded, pair) = site.connected(&site.governed);
    let (mut other, other_pair) = site.connected(&free);
    for (end, other_end) in [(pair.client, other_pair.client), (pair.server, other_pair.server)] {
        // The same to begin with.
        for (option, value) in
            [(KEEPALIVE, 1), (IDLE, 60), (INTERVAL, 15), (PROBES, 4), (USER_TIMEOUT, 90_000)]
        {
            other.call(other_end, Call::new(option, value)).unwrap();
        }
        for Case { option, value, held } in cases() {
            let what = format!("{option:?} with {} bytes: {:x?}", value.len(), &value[..value.len().min(4)]);
            let call = Call::of_bytes(option, value);

            let answer = guarded.call(end, call.clone());
            let expected = other.call(other_end, call);

            assert_eq!(answer, expected, "{what}");
            let [found, without] = [guarded.read(end, option), other.read(other_end, option)];
            match held.filter(|_| expected.is_ok()) {
                None => assert_eq!(found, without, "{what}"),
                Some(held) => {
                    assert_eq!(found, Ok(held), "{what}");
                    // Back to the same.
                    other.call(other_end, Call::new(option, held)).unwrap();
                }
            }
        }
    }
}

/// The kernel asks no program about the calls of 32-bit programs: a limit of what Enforce can do.
pub(super) fn a_32_bit_call_passes() {
    let site = Site::new("narrow");
    let _daemon = site.start();
    let (mut peer, pair) = site.connected(&site.governed);
    let call = Call { narrow: true, ..Call::new(IDLE, 7201) };
    assert_eq!(peer.call(pair.client, call), Ok(()), "a kernel with CONFIG_IA32_EMULATION is needed");

    assert_eq!(peer.read(pair.client, IDLE), Ok(7201));
    peer.call(pair.client, Call::new(IDLE, 7201)).unwrap();
    assert_eq!(peer.read(pair.client, IDLE), Ok(60), "the next call of another program");
}

pub(super) fn what_is_accepted_is_guarded_and_its_listener_is_not() {
    let site = Site::new("accepted");
    let _daemon = site.start();
    let mut peer = site.host.peer(&site.governed);
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    for round in 0..3 {
        peer.call(listener, Call::new(IDLE, 7200 + round)).unwrap();
        assert_eq!(peer.read(listener, IDLE), Ok(7200 + round));
        let client = peer.connect(address);
        let server = peer.accept(listener);
        for end in [client, server] {
            peer.call(end, Call::new(IDLE, 7200)).unwrap();
            assert_eq!(peer.read(end, IDLE), Ok(60));
        }
    }
}
