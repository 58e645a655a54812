//! Sets the options that are not of keep-alive, as the program does.

use std::io;

use keepalive_ebpf::{CONGESTION_LENGTH, Mode, Options, Policy, Reading, is_left_to_application};

use super::{
    socket::{Name, OpenSocket},
    treat::record,
};

const PRIORITY: Name = (libc::SOL_SOCKET, libc::SO_PRIORITY);
const TOS_V4: Name = (libc::IPPROTO_IP, libc::IP_TOS);
const TOS_V6: Name = (libc::IPPROTO_IPV6, libc::IPV6_TCLASS);
/// The bits of a type of service that tell of congestion.
const ECN: u32 = 3;
const CONGESTION: Name = (libc::IPPROTO_TCP, libc::TCP_CONGESTION);

/// Sets those among `which` that the policy sets and that its mode does not leave to the application; `errno` becomes
/// that of the last refusal.
pub(super) fn apply(socket: &OpenSocket, policy: &Policy, which: u32, errno: &mut u32) {
    let mode = policy.mode();
    if matches!(mode, Mode::Monitor) {
        return;
    }
    let options = policy.options();
    let which = options.which & which;
    // Setting the type of service sets a priority by it, which nobody chose: that is looked at before and set after.
    let sets_priority = which & Options::PRIORITY != 0 && {
        let current = socket.number(PRIORITY).ok();
        let is_same = current == Some(options.priority);
        is_same || !is_left_to_application(mode, Options::PRIORITY, options.priority, Reading::of(current))
    };
    // A socket of IPv4 has no traffic class; one of IPv6 has both, for what it sends to mapped addresses.
    let is_v6 = which & Options::TOS != 0 && socket.number(TOS_V6).is_ok();
    for (bit, name, wanted) in [
        (Options::NO_DELAY, (libc::IPPROTO_TCP, libc::TCP_NODELAY), options.no_delay),
        (Options::NOT_SENT_LOWAT, (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT), options.not_sent_lowat),
        (Options::MAX_SEGMENT, (libc::IPPROTO_TCP, libc::TCP_MAXSEG), options.max_segment),
        (Options::SYN_COUNT, (libc::IPPROTO_TCP, libc::TCP_SYNCNT), options.syn_count),
        (Options::MARK, (libc::SOL_SOCKET, libc::SO_MARK), options.mark),
        (Options::TOS, TOS_V4, options.tos),
    ] {
        if which & bit != 0 {
            record(errno, number(socket, mode, bit, name, wanted));
        }
    }
    if is_v6 {
        record(errno, number(socket, mode, Options::TOS, TOS_V6, options.tos));
    }
    if sets_priority && socket.number(PRIORITY).ok() != Some(options.priority) {
        record(errno, socket.set(PRIORITY, &options.priority.to_ne_bytes()));
    }
    if which & Options::CONGESTION != 0 {
        record(errno, congestion(socket, mode, options));
    }
}

fn number(socket: &OpenSocket, mode: Mode, bit: u32, name: Name, wanted: u32) -> io::Result<()> {
    // The lowest two bits of a type of service are the connection's own (ECN), and the kernel keeps them.
    let comparable = |value: u32| if bit == Options::TOS { value & !ECN } else { value };
    let current = socket.number(name).ok().map(comparable);
    if current == Some(comparable(wanted))
        || is_left_to_application(mode, bit, comparable(wanted), Reading::of(current))
    {
        return Ok(());
    }
    socket.set(name, &wanted.to_ne_bytes())
}

fn congestion(socket: &OpenSocket, mode: Mode, options: &Options) -> io::Result<()> {
    let current: Option<[u8; CONGESTION_LENGTH]> = socket.bytes(CONGESTION).ok();
    let is_wanted = current == Some(options.congestion);
    let is_chosen = current.is_some_and(|current| current != options.congestion_default);
    if is_wanted || is_chosen && !matches!(mode, Mode::Enforce) {
        return Ok(());
    }
    socket.set(CONGESTION, algorithm(&options.congestion))
}

/// The name without the zeros it is padded with.
fn algorithm(padded: &[u8]) -> &[u8] {
    padded.split(|byte| *byte == 0).next().unwrap_or_default()
}
