//! The TCP sockets of a network namespace, as sock_diag lists them; `ss` asks the same.

use std::{io, net::SocketAddr};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    DecodeError, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla as _,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, nlas::Nla},
};
use netlink_sys::{Socket, SocketAddr as KernelAddr, protocols::NETLINK_SOCK_DIAG};

pub(crate) use netlink_packet_sock_diag::{
    constants::{TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN},
    inet::StateFlags,
};

/// `INET_DIAG_CGROUP_ID`; part of every answer since Linux 5.8.
const CGROUP_ID: u16 = 21;
/// More than the 32 KiB that the kernel puts into one message of a list at most.
const BUFFER: usize = 64 << 10;

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name for as long as the kernel runs.
    pub(crate) cookie: u64,
    /// By which the links in `/proc/PID/fd` name it; 0 if it has no descriptor because nobody has accepted it yet.
    pub(crate) inode: u32,
    /// Such as [`TCP_ESTABLISHED`].
    pub(crate) state: u8,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The id of the cgroup it was made in; `None` if the kernel does not tell.
    pub(crate) cgroup: Option<u64>,
}

/// Lists the sockets in these states in the network namespace of the calling thread.
///
/// # Errors
/// If the kernel cannot list them, or answers what cannot be read.
pub(crate) fn list(states: &StateFlags) -> Result<Vec<Listed>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)
        .context("cannot open a sock_diag socket; the kernel lists TCP sockets by it (CONFIG_INET_DIAG)")?;
    socket
        .bind_auto()
        .and_then(|_| socket.connect(&KernelAddr::new(0, 0)))
        .context("cannot use sock_diag")?;
    let mut listed = Vec::new();
    for (family, id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: states.clone(),
            socket_id: id,
        };
        dump(&socket, request, &mut listed)
            .context("cannot list the TCP sockets by sock_diag (the modules inet_diag and tcp_diag)")?;
    }
    Ok(listed)
}

fn dump(socket: &Socket, request: InetRequest, listed: &mut Vec<Listed>) -> Result<()> {
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
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)?;
            // Messages begin at multiples of 4.
            let length = (message.header.length as usize).next_multiple_of(4).clamp(4, rest.len());
            rest = rest.get(length..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    listed.push(read(&response)?);
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                NetlinkPayload::Noop => {}
                other => bail!("the answer is none: {other:?}"),
            }
        }
    }
}

fn read(response: &InetResponse) -> Result<Listed, DecodeError> {
    let id = &response.header.socket_id;
    let cgroup = response.nlas.iter().find_map(|nla| match nla {
        Nla::Other(other) if other.kind() == CGROUP_ID => {
            let mut value = [0; 8];
            (other.value_len() == value.len()).then(|| other.emit_value(&mut value))?;
            Some(u64::from_ne_bytes(value))
        }
        _ => None,
    });
    Ok(Listed {
        cookie: cookie(id.cookie),
        inode: response.header.inode,
        state: response.header.state,
        local: SocketAddr::new(id.source_address, id.source_port),
        remote: SocketAddr::new(id.destination_address, id.destination_port),
        cgroup,
    })
}

/// The kernel writes the lower half first, whatever the order of bytes.
fn cookie([a, b, c, d, e, f, g, h]: [u8; 8]) -> u64 {
    u64::from(u32::from_ne_bytes([e, f, g, h])) << 32 | u64::from(u32::from_ne_bytes([a, b, c, d]))
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
            let waiting = find(at, own).expect("it waits to be accepted");
            assert_eq!((waiting.inode, waiting.cookie != outbound.cookie), (0, true));
            assert!(listed.iter().any(|it| it.local == at && it.state == TCP_LISTEN));
        }
    }
}
