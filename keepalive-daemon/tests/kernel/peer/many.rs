//! Many connections at a time.

use std::{io, net::SocketAddr};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use super::Options;

/// Makes so many connections over the IPv4 loopback; hands over both ends of each.
pub(super) fn connect(count: usize, mut keep: impl FnMut(Socket)) -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None);
    let listener = socket()?;
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    listener.listen(16)?;
    let address = listener.local_addr()?;
    for _ in 0..count {
        let client = socket()?;
        client.connect(&address)?;
        keep(client);
        keep(listener.accept()?.0);
    }
    Ok(())
}

/// Both ends of a connection, and its options.
pub(crate) type Ends = (SocketAddr, SocketAddr, Options);

/// The options of connections, one by one.
pub(super) fn each<'s>(sockets: impl Iterator<Item = &'s Socket>) -> io::Result<Vec<Ends>> {
    let mut all = Vec::new();
    for socket in sockets {
        if socket.is_listener()? {
            continue;
        }
        let ip = |address: socket2::SockAddr| address.as_socket().ok_or(io::ErrorKind::InvalidData);
        all.push((ip(socket.local_addr()?)?, ip(socket.peer_addr()?)?, super::get(socket)?));
    }
    Ok(all)
}

/// The options of connections: each set of them, with how many have it.
pub(super) fn options<'s>(sockets: impl Iterator<Item = &'s Socket>) -> io::Result<Vec<(Options, usize)>> {
    let mut counts: Vec<(Options, usize)> = Vec::new();
    for socket in sockets {
        if socket.is_listener()? {
            continue;
        }
        let options = super::get(socket)?;
        match counts.iter_mut().find(|(known, _)| *known == options) {
            Some((_, count)) => *count += 1,
            None => counts.push((options, 1)),
        }
    }
    Ok(counts)
}
