//! A process that makes connections within a cgroup and tells what getsockopt says of both ends: it does what it is
//! told, a line of JSON each, and answers likewise.

mod newcomer;

use std::{
    io::{self, BufRead as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use socket2::{SockRef, TcpKeepalive};

use crate::lab::{Cgroup, InCgroup as _, Netns, Process};

/// The verb that makes this program a peer.
pub const VERB: &str = "soak-peer";

/// What an application asks for that would be rid of keep-alive.
const LOOSE: Duration = Duration::from_secs(7200);

/// What getsockopt says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Values {
    pub(super) keepalive: bool,
    pub(super) idle_s: u64,
    pub(super) interval_s: u64,
    pub(super) probes: u32,
}

/// What a peer can be told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Make so many connections and look at them; then ask for less, if told to, look again, and close them.
    Connect { count: u32, loosen: bool },
    /// Make so many connections and keep them.
    Keep { count: u32 },
    /// Look at those that are kept.
    LookAtKept,
    /// Make this cgroup and, by a process that begins in it, connections until one is armed, and so many more.
    Newcomer { cgroup: PathBuf, count: u32 },
}

/// What a peer saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Both ends of each connection, one by one, once a newcomer's policy was in force.
    pub(super) ends: Vec<Values>,
    /// How long, in microseconds, until a newcomer had an armed connection; absent if it had none in time.
    pub(super) armed_after_us: Option<u64>,
    /// Why it could not be done.
    pub(super) failure: Option<String>,
}

/// The parent's end of a peer.
pub(super) struct Peer(Process);

impl Peer {
    /// Starts one in a cgroup and a network namespace.
    pub(super) fn start(netns: &Netns, cgroup: &Cgroup) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command: Command = netns.command(program);
        command.arg(VERB).in_cgroup(cgroup);
        Ok(Self(Process::spawn("a peer", command)?))
    }

    /// Has it do something, and waits for what it saw.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Answer> {
        let mark = self.0.mark();
        self.0.say(&serde_json::to_string(request).context("cannot write the request")?)?;
        let line = self.0.wait_line_from(mark, "{")?;
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("a peer answers {line:?}"))?;
        match answer.failure {
            Some(failure) => bail!("a peer could not do {request:?}: {failure}"),
            None => Ok(answer),
        }
    }
}

/// Serves requests until standard input ends.
///
/// # Errors
///
/// If it cannot listen, read or write.
pub fn serve() -> Result<()> {
    let mut hands = Hands::new().context("cannot listen on the loopback")?;
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line.context("cannot read a request")?)
            .context("a request is none of a soak's")?;
        let answer = hands
            .serve(request)
            .unwrap_or_else(|error| Answer { failure: Some(error.to_string()), ..Answer::default() });
        let answer = serde_json::to_string(&answer).context("cannot write an answer")?;
        writeln!(io::stdout().lock(), "{answer}").context("nobody reads the answer")?;
    }
    Ok(())
}

/// What connects, and what is kept open.
struct Hands {
    listener: TcpListener,
    at: SocketAddr,
    kept: Vec<TcpStream>,
}

impl Hands {
    fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let at = listener.local_addr()?;
        Ok(Self { listener, at, kept: Vec::new() })
    }

    fn serve(&mut self, request: Request) -> io::Result<Answer> {
        let mut answer = Answer::default();
        match request {
            Request::Connect { count, loosen } => {
                for _ in 0..count {
                    let pair = self.pair()?;
                    see(&pair, &mut answer.ends)?;
                    if loosen {
                        pair.iter().try_for_each(loosened)?;
                        see(&pair, &mut answer.ends)?;
                    }
                }
            }
            Request::Keep { count } => {
                for _ in 0..count {
                    let pair = self.pair()?;
                    self.kept.extend(pair);
                }
            }
            Request::LookAtKept => see(&self.kept, &mut answer.ends)?,
            Request::Newcomer { cgroup, count } => answer = newcomer::visit(&cgroup, count)?,
        }
        Ok(answer)
    }

    /// Both ends of a new connection.
    fn pair(&self) -> io::Result<[TcpStream; 2]> {
        let client = TcpStream::connect(self.at)?;
        Ok([client, self.listener.accept()?.0])
    }
}

fn see(sockets: &[TcpStream], ends: &mut Vec<Values>) -> io::Result<()> {
    for socket in sockets {
        let socket = SockRef::from(socket);
        ends.push(Values {
            keepalive: socket.keepalive()?,
            idle_s: socket.tcp_keepalive_time()?.as_secs(),
            interval_s: socket.tcp_keepalive_interval()?.as_secs(),
            probes: socket.tcp_keepalive_retries()?,
        });
    }
    Ok(())
}

/// As an application that knows better.
fn loosened(socket: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(LOOSE))?;
    socket.set_keepalive(false)
}
