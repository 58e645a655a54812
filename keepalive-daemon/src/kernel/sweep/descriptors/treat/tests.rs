use std::{
    net::{Ipv6Addr, TcpListener, TcpStream},
    os::fd::OwnedFd,
};

use super::*;

const WANTED: Timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 120_000 };

fn connection() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(at).expect("it listens");
    let local = client.local_addr().expect("it is connected");
    let duplicate = OwnedFd::from(client.try_clone().expect("a free descriptor"));
    let socket = OpenSocket::new(duplicate);
    let cookie = socket.cookie().expect("every socket has one");
    let direction = Direction::Outbound;
    (Connection { socket, cookie, local, remote: at, direction }, client)
}

fn target(sweep: Sweep, mode: Mode) -> Target {
    let policy = Policy::new(mode, Direction::Both, WANTED).of_cgroup(42);
    Target { sweep, has_previous: 0, policy, previous: Policy::NOTHING }
}

fn all(socket: &OpenSocket) -> [Option<u32>; 5] {
    use SocketOption::{Idle, Interval, Keepalive, Probes, UserTimeout};
    [Keepalive, Idle, Interval, Probes, UserTimeout].map(|option| socket.number(name(option)).ok())
}

#[test]
fn what_is_told_is_what_was_done() {
    let (connection, _open) = connection();

    let swept = treat(&connection, &target(Sweep::Apply, Mode::Tighten), Some(WANTED), None);

    assert_eq!(all(&connection.socket), [1, 60, 15, 4, 120_000].map(Some));
    assert_eq!((swept.outcome, swept.arms, swept.was_on, swept.errno), (Outcome::Arm, 1, 0, 0));
    assert_eq!((swept.set, swept.governor), (WANTED, 42));
    assert_eq!(swept.local, Ipv6Addr::from_bits(0xffff_7f00_0001).octets());
    assert_eq!(swept.remote_port, u32::from(connection.remote.port()));

    let again = treat(&connection, &target(Sweep::Apply, Mode::Tighten), Some(WANTED), None);
    assert_eq!((again.outcome, again.set, again.before), (Outcome::KeepTighter, Timers::NONE, WANTED));
}

#[test]
fn telling_sets_nothing_and_tells_what_would_be_set() {
    let (connection, _open) = connection();
    let before = all(&connection.socket);

    let swept = treat(&connection, &target(Sweep::Tell, Mode::Tighten), Some(WANTED), None);

    assert_eq!((swept.outcome, swept.arms, swept.set), (Outcome::Arm, 1, WANTED));
    assert_eq!(all(&connection.socket), before);
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let (mut connection, _open) = connection();
    let other = std::fs::File::open("/dev/null").expect("it is everywhere");
    connection.socket = OpenSocket::new(OwnedFd::from(other));

    let swept = treat(&connection, &target(Sweep::Apply, Mode::Tighten), Some(WANTED), None);

    assert_eq!((swept.outcome, swept.errno), (Outcome::ArmBlind, 0), "no call was tried that could fail");
}

#[test]
fn what_is_looked_at_again_is_not_asked_for_its_direction() {
    let (connection, _open) = connection();
    let of = |sweep| {
        let policy = Policy::new(Mode::Enforce, Direction::Inbound, WANTED).of_cgroup(42);
        Target { policy, ..target(sweep, Mode::Enforce) }
    };

    let applied = treat(&connection, &of(Sweep::Apply), Some(WANTED), None);
    let rechecked = treat(&connection, &of(Sweep::Recheck), Some(WANTED), None);

    assert_eq!((applied.outcome, rechecked.outcome), (Outcome::KeepDirection, Outcome::Arm));
    assert_eq!(rechecked.direction, Direction::Outbound, "told is what it is");
    assert_eq!(all(&connection.socket), [1, 60, 15, 4, 120_000].map(Some));
}

#[test]
fn a_user_timeout_of_an_earlier_policy_is_taken_back() {
    let (connection, _open) = connection();
    treat(&connection, &target(Sweep::Apply, Mode::Tighten), Some(WANTED), None);
    let later = Timers { idle_s: 300, user_timeout_ms: 0, ..WANTED };
    let previous = Policy::new(Mode::Tighten, Direction::Both, WANTED);
    let policy = Policy::new(Mode::Tighten, Direction::Both, later);
    let target = Target { has_previous: 1, policy, previous, ..target(Sweep::Apply, Mode::Tighten) };

    let swept = treat(&connection, &target, Some(later), Some(WANTED));

    assert_eq!((swept.outcome, swept.clears_user_timeout), (Outcome::Arm, 1));
    assert_eq!(all(&connection.socket), [1, 300, 15, 4, 0].map(Some));
}

#[test]
fn where_no_policy_governs_any_more_it_is_told_who_keeps_its_values() {
    let (connection, _open) = connection();
    let target = target(Sweep::Apply, Mode::Tighten);
    let gone = Target { policy: Policy::NOTHING, has_previous: 1, previous: target.policy, ..target };

    let untouched = treat(&connection, &gone, Some(Timers::NONE), Some(WANTED));
    treat(&connection, &target, Some(WANTED), None);
    let kept = treat(&connection, &gone, Some(Timers::NONE), Some(WANTED));

    assert_eq!((untouched.outcome, kept.outcome), (Outcome::KeepChosen, Outcome::KeepTighter));
}

#[test]
fn other_options_are_set_where_the_application_chose_none() {
    let (connection, client) = connection();
    client.set_nodelay(true).expect("it is open");
    let options = Options {
        which: Options::NO_DELAY | Options::NOT_SENT_LOWAT | Options::TOS,
        no_delay: 0,
        not_sent_lowat: 16_384,
        tos: 8,
        ..Options::NONE
    };
    let mut target = target(Sweep::Apply, Mode::FillMissing);
    target.policy = target.policy.with_options(options);

    let swept = treat(&connection, &target, Some(WANTED), None);

    let read = |name| connection.socket.number(name).ok();
    assert_eq!(swept.errno, 0);
    assert_eq!(client.nodelay().ok(), Some(true), "what the application chose stays");
    assert_eq!(read((libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT)), Some(16_384));
    assert_eq!(read((libc::IPPROTO_IP, libc::IP_TOS)), Some(8));
}

#[test]
fn a_refusal_is_told_by_its_errno() {
    let (connection, _open) = connection();
    let out_of_range = Timers { idle_s: 40_000, ..WANTED };

    let swept = treat(&connection, &target(Sweep::Apply, Mode::Tighten), Some(out_of_range), None);

    assert_eq!(i32::try_from(swept.errno), Ok(libc::EINVAL));
}

#[test]
fn only_what_is_enforced_and_covered_is_guarded() {
    let policy = |mode| target(Sweep::Apply, mode).policy;

    assert_eq!(guard(&policy(Mode::Enforce), Outcome::KeepTighter), 42);
    assert_eq!(guard(&policy(Mode::Enforce), Outcome::KeepDestination), 0);
    assert_eq!(guard(&policy(Mode::Tighten), Outcome::Arm), 0);
}

#[test]
fn a_destination_is_looked_up_alike_whichever_way_it_is_written() {
    let (mut connection, _open) = connection();
    let [plain, mapped] = ["10.1.2.3:5432", "[::ffff:10.1.2.3]:5432"].map(|text| {
        connection.remote = text.parse().expect("it is an address");
        connection.destination()
    });

    assert_eq!(plain, Remote::v4(0x0a01_0203, 5432));
    assert_eq!(mapped, plain);
    connection.remote = "[2001:db8::1]:1".parse().expect("it is an address");
    assert_eq!(connection.destination(), Remote::v6([0x2001_0db8, 0, 0, 1], 1));
}
