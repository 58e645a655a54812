//! The test's end of a [peer](crate::peer).

use std::{net::SocketAddr, process::Command};

use xtask::lab::{Cgroup, InCgroup as _, Process};

use crate::peer::{Answer, Call, Ends, Options, Others, Request};

/// A process that makes sockets for a test.
pub(crate) struct Peer(Process);

/// Both ends of a connection between two peers, or of one peer with itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    /// The end that connected, a socket of the first peer.
    pub(crate) client: usize,
    /// The end that was accepted, a socket of the second.
    pub(crate) server: usize,
}

impl Peer {
    pub(crate) const fn new(process: Process) -> Self {
        Self(process)
    }

    /// A process in a cgroup; `command` says in which network namespace.
    pub(crate) fn spawn(mut command: Command, cgroup: &Cgroup) -> Self {
        command.arg(crate::PEER).in_cgroup(cgroup);
        Self::new(Process::spawn("a peer", command).unwrap())
    }

    pub(crate) const fn process(&self) -> &Process {
        &self.0
    }

    /// Makes a socket for addresses like this one.
    pub(crate) fn open(&mut self, like: SocketAddr, mptcp: bool) -> usize {
        self.socket(&Request::Open { like, mptcp })
    }

    pub(crate) fn set(&mut self, socket: usize, options: Options) {
        self.done(&Request::Set { socket, options });
    }

    /// Listens on `at` with an open socket; returns the address to connect to.
    pub(crate) fn listen_with(&mut self, socket: usize, at: SocketAddr) -> SocketAddr {
        match self.ask(&Request::Listen { socket, at }) {
            Answer::Address(address) => address,
            answer => panic!("{answer:?}"),
        }
    }

    /// Listens on any port of `at`; returns the socket and the address to connect to.
    pub(crate) fn listen(&mut self, at: &str, mptcp: bool) -> (usize, SocketAddr) {
        let at = at.parse().unwrap();
        let socket = self.open(at, mptcp);
        (socket, self.listen_with(socket, at))
    }

    pub(crate) fn connect_with(&mut self, socket: usize, to: SocketAddr) {
        self.done(&Request::Connect { socket, to });
    }

    /// Connects; fails with the reason.
    pub(crate) fn try_connect(&mut self, socket: usize, to: SocketAddr) -> Result<(), String> {
        match self.ask(&Request::Connect { socket, to }) {
            Answer::Failed(reason) => Err(reason),
            _ => Ok(()),
        }
    }

    /// Gives a socket an address of its own.
    pub(crate) fn bind(&mut self, socket: usize, at: SocketAddr) -> SocketAddr {
        match self.ask(&Request::Bind { socket, at }) {
            Answer::Address(address) => address,
            answer => panic!("{answer:?}"),
        }
    }

    /// Connects with data in the SYN (TCP fast open).
    pub(crate) fn connect_with_data(&mut self, socket: usize, to: SocketAddr) {
        self.done(&Request::ConnectWithData { socket, to });
    }

    /// Sends a few bytes, without waiting for the other end.
    pub(crate) fn send(&mut self, socket: usize) {
        self.done(&Request::Send { socket });
    }

    /// Waits for data or the end of the connection: the number of bytes, or the errno.
    pub(crate) fn receive(&mut self, socket: usize) -> Result<usize, i32> {
        match self.ask(&Request::Receive { socket }) {
            Answer::Received(received) => received,
            answer => panic!("{answer:?}"),
        }
    }

    /// Connects with a fresh socket.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> usize {
        let socket = self.open(to, false);
        self.connect_with(socket, to);
        socket
    }

    pub(crate) fn accept(&mut self, listener: usize) -> usize {
        self.socket(&Request::Accept { socket: listener })
    }

    /// What getsockopt says of a socket.
    pub(crate) fn options(&mut self, socket: usize) -> Options {
        match self.ask(&Request::Get { socket }) {
            Answer::Options(options) => options,
            answer => panic!("{answer:?}"),
        }
    }

    /// What getsockopt says of the options that are not of keep-alive.
    pub(crate) fn others(&mut self, socket: usize) -> Others {
        match self.ask(&Request::GetOthers { socket }) {
            Answer::Others(others) => others,
            answer => panic!("{answer:?}"),
        }
    }

    pub(crate) fn set_others(&mut self, socket: usize, others: Others) {
        self.done(&Request::SetOthers { socket, others });
    }

    /// Calls setsockopt; fails with the errno.
    pub(crate) fn call(&mut self, socket: usize, call: Call) -> Result<(), i32> {
        match self.ask(&Request::Call { socket, call }) {
            Answer::Called(called) => called,
            answer => panic!("{answer:?}"),
        }
    }

    /// The first word of an option, by its level and name; fails with the errno.
    pub(crate) fn read(&mut self, socket: usize, option: (i32, i32)) -> Result<i32, i32> {
        match self.ask(&Request::Read { socket, option }) {
            Answer::Value(value) => value,
            answer => panic!("{answer:?}"),
        }
    }

    /// Sends a datagram to an address and waits for it at another; the number of its bytes, or the errno.
    pub(crate) fn datagram(&mut self, to: SocketAddr, at: SocketAddr) -> Result<usize, i32> {
        match self.ask(&Request::Datagram { to, at }) {
            Answer::Received(received) => received,
            answer => panic!("{answer:?}"),
        }
    }

    pub(crate) fn close(&mut self, socket: usize) {
        self.done(&Request::Close { socket });
    }

    /// Connects this peer to itself over the IPv4 loopback.
    pub(crate) fn pair(&mut self) -> Pair {
        let (listener, address) = self.listen("127.0.0.1:0", false);
        let client = self.connect(address);
        let server = self.accept(listener);
        self.close(listener);
        Pair { client, server }
    }

    /// Connects this peer to itself so many times over the IPv4 loopback; it keeps both ends of each.
    pub(crate) fn pairs(&mut self, count: usize) {
        self.done(&Request::Pairs { count });
    }

    /// What getsockopt says of all open sockets but listeners: each set of options, with how many have it.
    pub(crate) fn all_options(&mut self) -> Vec<(Options, usize)> {
        match self.ask(&Request::GetAll) {
            Answer::AllOptions(options) => options,
            answer => panic!("{answer:?}"),
        }
    }

    /// Both ends of all open sockets but listeners, and what getsockopt says of each.
    pub(crate) fn each_options(&mut self) -> Vec<Ends> {
        match self.ask(&Request::GetEach) {
            Answer::EachOptions(options) => options,
            answer => panic!("{answer:?}"),
        }
    }

    fn socket(&mut self, request: &Request) -> usize {
        match self.ask(request) {
            Answer::Socket(socket) => socket,
            answer => panic!("{request:?}: {answer:?}"),
        }
    }

    fn done(&mut self, request: &Request) {
        match self.ask(request) {
            Answer::Done => {}
            answer => panic!("{request:?}: {answer:?}"),
        }
    }

    fn ask(&mut self, request: &Request) -> Answer {
        let mark = self.0.mark();
        self.0.say(&serde_json::to_string(request).unwrap()).unwrap();
        serde_json::from_str(&self.0.wait_line_from(mark, "").unwrap()).unwrap()
    }
}
