//! The TCP sockets of a network namespace, as sock_diag lists them; `ss` asks the same.

mod message;

use std::{io, ops::ControlFlow};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, SOCK_DIAG_BY_FAMILY},
    inet::{ExtensionFlags, InetRequest, SocketId},
};
use netlink_sys::{Socket, SocketAddr as KernelAddr, protocols::NETLINK_SOCK_DIAG};

pub(crate) use message::{Listed, TimerKind};
#[cfg(test)]
pub(crate) use message::{Timer, Times};
pub(crate) use netlink_packet_sock_diag::{
    constants::{TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN},
    inet::StateFlags,
};

/// More than the 32 KiB that the kernel puts into one message of a list at most.
const BUFFER: usize = 64 << 10;

/// Which sockets are asked for, and what of them.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) states: StateFlags,
    /// Whether [`Listed::times`] are wanted; the kernel waits for whoever holds a socket's lock then.
    pub(crate) times: bool,
}

/// A way to ask for the sockets of a network namespace: that in which it was opened, wherever it is asked.
pub(crate) struct Diag(Socket);

impl Diag {
    /// Opens one in the network namespace of the calling thread.
    ///
    /// # Errors
    /// If the kernel has no sock_diag.
    pub(crate) fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG).context(
            "cannot open a sock_diag socket; the kernel lists TCP sockets by it (CONFIG_INET_DIAG)",
        )?;
        socket
            .bind_auto()
            .and_then(|_| socket.connect(&KernelAddr::new(0, 0)))
            .context("cannot use sock_diag")?;
        Ok(Self(socket))
    }

    /// Hands out the sockets one after the other, as the kernel comes by them; it goes on only as they are taken. Of each
    /// family the listeners come first. A socket comes again if its neighbours came or went between two parts of the
    /// answer.
    ///
    /// # Errors
    /// If the kernel cannot list them, or answers what cannot be read.
    pub(crate) fn list(
        self,
        question: &Question,
        each: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<()> {
        for (family, id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            let request = InetRequest {
                family,
                protocol: IPPROTO_TCP,
                extensions: if question.times { ExtensionFlags::INFO } else { ExtensionFlags::empty() },
                states: question.states.clone(),
                socket_id: id,
            };
            let dumped = dump(&self.0, request, each);
            if dumped
                .context("cannot list the TCP sockets by sock_diag (the modules inet_diag and tcp_diag)")?
                .is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

/// Lists the sockets in these states in the network namespace of the calling thread.
///
/// # Errors
/// See [`Diag::open`] and [`Diag::list`].
pub(crate) fn list(states: &StateFlags) -> Result<Vec<Listed>> {
    let question = Question { states: states.clone(), times: false };
    let mut listed = Vec::new();
    Diag::open()?.list(&question, &mut |socket| {
        listed.push(socket);
        ControlFlow::Continue(())
    })?;
    Ok(listed)
}

fn dump(
    socket: &Socket,
    request: InetRequest,
    each: &mut dyn FnMut(Listed) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message =
        NetlinkMessage::new(header, NetlinkPayload::from(SockDiagMessage::InetRequest(request)));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        match socket.recv(&mut buffer, 0) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        if let Some(flow) = read_part(&buffer, each)? {
            return Ok(flow);
        }
    }
}

/// Hands out the sockets in one part of an answer; `None` if others follow.
pub(crate) fn read_part(
    part: &[u8],
    each: &mut dyn FnMut(Listed) -> ControlFlow<()>,
) -> Result<Option<ControlFlow<()>>> {
    let mut rest = part;
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest)?;
        match message.message_type() {
            SOCK_DIAG_BY_FAMILY => {
                if each(message::read(message.payload())?).is_break() {
                    return Ok(Some(ControlFlow::Break(())));
                }
            }
            // Both begin with an errno, negative, or zero if all went well.
            NLMSG_DONE | NLMSG_ERROR => {
                return match message::errno(message.payload()) {
                    0 => Ok(Some(ControlFlow::Continue(()))),
                    errno => Err(io::Error::from_raw_os_error(errno.saturating_neg()).into()),
                };
            }
            NLMSG_NOOP => {}
            other => bail!("the answer is none: a message of type {other}"),
        }
        // Messages begin at multiples of 4.
        let length = usize::try_from(message.length())?.next_multiple_of(4).clamp(4, rest.len());
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sockets_of_this_process_are_listed_with_both_ends_and_a_cgroup() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(any) else { continue };
            let at = listener.local_addr().expect("it is bound");
            let client = TcpStream::connect(at).expect("it listens");
            let states = StateFlags::LISTEN | StateFlags::ESTABLISHED;

            let listed = list(&states).expect("sock_diag needs no right");

            let find = |local, remote| listed.iter().find(|it| (it.local, it.remote) == (local, remote));
            let own = client.local_addr().expect("it is connected");
            let outbound = find(own, at).expect("it is open");
            assert_eq!((outbound.state, outbound.inode > 0), (TCP_ESTABLISHED, true));
            assert!(outbound.cgroup.is_some_and(|cgroup| cgroup > 0), "{outbound:?}");
            assert_eq!((&outbound.timer, &outbound.times), (&None, &None));
            let waiting = find(at, own).expect("it waits to be accepted");
            assert_eq!((waiting.inode, waiting.cookie != outbound.cookie), (0, true));
            let place = |wanted: u64| listed.iter().position(|it| it.cookie == wanted);
            let listening = listed.iter().find(|it| it.local == at && it.state == TCP_LISTEN);
            let listening = listening.expect("it listens").cookie;
            assert!(place(listening) < place(waiting.cookie), "listeners come first");
        }
    }

    #[test]
    fn the_timer_and_the_times_are_the_kernels() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let socket = socket2::SockRef::from(&client);
        let timers = socket2::TcpKeepalive::new().with_time(std::time::Duration::from_secs(1000));
        socket.set_tcp_keepalive(&timers).expect("an option of every kernel");
        let own = client.local_addr().expect("it is connected");
        let question = Question { states: StateFlags::ESTABLISHED, times: true };

        let mut found = None;
        let listed = Diag::open().and_then(|diag| {
            diag.list(&question, &mut |it| {
                found = (it.local == own).then_some(it);
                if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });

        listed.expect("sock_diag needs no right");
        let found = found.expect("it is open");
        let timer = found.timer.expect("keep-alive is on");
        assert_eq!((timer.kind, timer.unanswered), (TimerKind::Keepalive, 0));
        assert!((900_000..=1_000_000).contains(&timer.expires_ms), "{timer:?}");
        let times = found.times.expect("it was asked for");
        assert!(times.last_ack_received_ms < 100_000, "{times:?}");
    }
}
