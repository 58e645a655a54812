//! A process whose sockets a test looks at: it does what it is told, a line of JSON each, and answers likewise.
//! A process of its own, because a socket belongs to the cgroup of the process that made it.

mod calls;
mod many;
mod others;

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, Read as _, Write as _},
    net::SocketAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// How many bytes a peer sends at a time.
pub(crate) const SENT: usize = 4;

pub(crate) use calls::Call;
pub(crate) use many::Ends;
pub(crate) use others::Others;

/// The options this project is about; on setting, what is absent is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) keepalive: Option<bool>,
    pub(crate) idle_s: Option<u64>,
    pub(crate) interval_s: Option<u64>,
    pub(crate) probes: Option<u32>,
    pub(crate) user_timeout_ms: Option<u64>,
}

/// What a peer can be told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Make a socket for addresses like this one; answers with its number.
    Open { like: SocketAddr, mptcp: bool },
    /// Set options.
    Set { socket: usize, options: Options },
    /// Listen; answers with the address.
    Listen { socket: usize, at: SocketAddr },
    /// Give the socket an address of its own; answers with it.
    Bind { socket: usize, at: SocketAddr },
    /// Connect.
    Connect { socket: usize, to: SocketAddr },
    /// Connect with data in the SYN (TCP fast open).
    ConnectWithData { socket: usize, to: SocketAddr },
    /// Accept; answers with the new socket's number.
    Accept { socket: usize },
    /// Send a few bytes, which is done when the kernel has them.
    Send { socket: usize },
    /// Wait for data or the end of the connection; answers with what came first.
    Receive { socket: usize },
    /// Answers with the options, as getsockopt tells them.
    Get { socket: usize },
    /// Answers with the options that are not of keep-alive.
    GetOthers { socket: usize },
    /// Set such options.
    SetOthers { socket: usize, others: Others },
    /// Call setsockopt; answers with the errno.
    Call { socket: usize, call: Call },
    /// Answers with the first word of an option by its level and name, or the errno.
    Read { socket: usize, option: (i32, i32) },
    /// Close.
    Close { socket: usize },
    /// Send a datagram to an address, and wait for it at another; answers with what came of it.
    Datagram { to: SocketAddr, at: SocketAddr },
    /// Connect to oneself so many times, and keep both ends of each.
    Pairs { count: usize },
    /// Answers with the options of all sockets but listeners, and how many have them.
    GetAll,
    /// Answers with both ends and the options of each socket but listeners.
    GetEach,
}

/// What a peer answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Socket(usize),
    Address(SocketAddr),
    Options(Options),
    Others(Others),
    /// The number of bytes, or the errno that ended the connection.
    Received(Result<usize, i32>),
    Called(Result<(), i32>),
    Value(Result<i32, i32>),
    AllOptions(Vec<(Options, usize)>),
    EachOptions(Vec<Ends>),
    Failed(String),
}

/// Serves requests until standard input ends.
pub(crate) fn serve() {
    let mut sockets = Sockets::default();
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = sockets.serve(request).unwrap_or_else(|error| Answer::Failed(error.to_string()));
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", serde_json::to_string(&answer).unwrap()).unwrap();
    }
}

#[derive(Default)]
struct Sockets {
    open: BTreeMap<usize, Socket>,
    next: usize,
}

impl Sockets {
    fn serve(&mut self, request: Request) -> io::Result<Answer> {
        Ok(match request {
            Request::Open { like, mptcp } => {
                let protocol = if mptcp { Protocol::MPTCP } else { Protocol::TCP };
                let socket = Socket::new(Domain::for_address(like), Type::STREAM, Some(protocol))?;
                if like.is_ipv6() {
                    socket.set_only_v6(false)?;
                }
                self.keep(socket)
            }
            Request::Set { socket, options } => {
                set(&self.open[&socket], &options)?;
                Answer::Done
            }
            Request::Listen { socket, at } => {
                let socket = &self.open[&socket];
                let address = bind(socket, at)?;
                socket.listen(16)?;
                Answer::Address(address)
            }
            Request::Bind { socket, at } => Answer::Address(bind(&self.open[&socket], at)?),
            Request::Connect { socket, to } => {
                self.open[&socket].connect(&to.into())?;
                Answer::Done
            }
            Request::ConnectWithData { socket, to } => {
                self.open[&socket].send_to_with_flags(b"early", &to.into(), libc::MSG_FASTOPEN)?;
                Answer::Done
            }
            Request::Accept { socket } => {
                let (accepted, _) = self.open[&socket].accept()?;
                self.keep(accepted)
            }
            Request::Send { socket } => {
                (&self.open[&socket]).write_all(&[1; SENT])?;
                Answer::Done
            }
            Request::Receive { socket } => {
                let received = (&self.open[&socket]).read(&mut [0; 64]);
                Answer::Received(received.map_err(|error| error.raw_os_error().unwrap_or_default()))
            }
            Request::Get { socket } => Answer::Options(get(&self.open[&socket])?),
            Request::GetOthers { socket } => Answer::Others(others::get(&self.open[&socket])?),
            Request::SetOthers { socket, others } => {
                others::set(&self.open[&socket], others)?;
                Answer::Done
            }
            Request::Call { socket, call } => Answer::Called(call.make(&self.open[&socket])),
            Request::Read { socket, option } => Answer::Value(calls::read(&self.open[&socket], option)),
            Request::Close { socket } => {
                self.open.remove(&socket);
                Answer::Done
            }
            Request::Datagram { to, at } => Answer::Received(calls::datagram(to, at)),
            Request::Pairs { count } => {
                many::connect(count, |socket| drop(self.keep(socket)))?;
                Answer::Done
            }
            Request::GetEach => Answer::EachOptions(many::each(self.open.values())?),
            Request::GetAll => Answer::AllOptions(many::options(self.open.values())?),
        })
    }

    fn keep(&mut self, socket: Socket) -> Answer {
        self.next += 1;
        self.open.insert(self.next, socket);
        Answer::Socket(self.next)
    }
}

fn bind(socket: &Socket, at: SocketAddr) -> io::Result<SocketAddr> {
    // Not even what closed a moment ago keeps its port.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP address"))
}

fn set(socket: &Socket, options: &Options) -> io::Result<()> {
    let Options { keepalive, idle_s, interval_s, probes, user_timeout_ms } = *options;
    let mut timers = TcpKeepalive::new();
    if let Some(idle) = idle_s {
        timers = timers.with_time(Duration::from_secs(idle));
    }
    if let Some(interval) = interval_s {
        timers = timers.with_interval(Duration::from_secs(interval));
    }
    if let Some(probes) = probes {
        timers = timers.with_retries(probes);
    }
    if idle_s.is_some() || interval_s.is_some() || probes.is_some() {
        // This also turns keep-alive on; a test that wants only the values says `keepalive: false` too.
        socket.set_tcp_keepalive(&timers)?;
    }
    if let Some(keepalive) = keepalive {
        socket.set_keepalive(keepalive)?;
    }
    if let Some(timeout) = user_timeout_ms {
        socket.set_tcp_user_timeout(Some(Duration::from_millis(timeout)))?;
    }
    Ok(())
}

pub(crate) fn get(socket: &Socket) -> io::Result<Options> {
    let socket = SockRef::from(socket);
    let user_timeout = match socket.tcp_user_timeout() {
        Ok(timeout) => Some(u64::try_from(timeout.unwrap_or_default().as_millis()).unwrap()),
        // An MPTCP socket knows of none.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => None,
        Err(error) => return Err(error),
    };
    Ok(Options {
        keepalive: Some(socket.keepalive()?),
        idle_s: Some(socket.tcp_keepalive_time()?.as_secs()),
        interval_s: Some(socket.tcp_keepalive_interval()?.as_secs()),
        probes: Some(socket.tcp_keepalive_retries()?),
        user_timeout_ms: user_timeout,
    })
}
