//! The story this project starts from, with real parts: a server that answers late, a NAT that has forgotten the
//! connection by then, and clients that wait.
//!
//! This module makes it happen and says what happened; what it means is for the demo and the tests to say.

mod client;
mod request;

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;

pub use client::ClientKind;
pub use request::{Ending, Outcome, Request};

use super::capture::{Capture, Segment};
use super::{Cgroup, InCgroup, Nat, Output, Process, patience, scratch};

/// The port of the server.
const PORT: u16 = 8080;

/// How long each part of the story takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// After which silence the NAT forgets a connection.
    pub nat_timeout: Duration,
    /// How long the server works on an answer.
    pub answer_after: Duration,
    /// How long the clients wait for it.
    pub read_timeout: Duration,
}

impl Timing {
    /// A story around a NAT that forgets after `nat_timeout`, in whole seconds: the answer comes when the
    /// connection has long been forgotten, and the clients would wait for longer still.
    ///
    /// The margins are what a busy machine with slow starters like the JVM needs: 5 s to connect, and 25 s where all is
    /// emulated.
    pub fn around(nat_timeout: Duration) -> Self {
        let answer_after = nat_timeout + Duration::from_secs(4);
        Self { nat_timeout, answer_after, read_timeout: answer_after + patience() / 12 }
    }
}

/// Something that happened in the story, in the order in which it became known.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The server got the request of this number.
    Asked(u32),
    /// The server handed the answer of this number to its kernel.
    Answered(u32),
    /// The client of this number ended.
    Ended(u32),
    /// A TCP segment passed the client's interface.
    Segment(Segment),
}

/// The stage with the server running on it; removed with everything on it when dropped.
#[derive(Debug)]
pub struct Story {
    server: Process,
    capture: Capture,
    nat: Nat,
    directory: TempDir,
    cgroup: Cgroup,
    timing: Timing,
    events: Sender<Event>,
    requests: AtomicU32,
}

impl Story {
    /// Builds the namespaces, starts the server and the capture, and makes the cgroup that the clients run in.
    ///
    /// What happens from then on can be read from the receiver; a caller without interest drops it.
    ///
    /// # Errors
    /// When a tool is missing or the kernel lacks a part; the error names it.
    pub fn new(prefix: &str, timing: Timing) -> Result<(Self, Receiver<Event>)> {
        let (events, receiver) = mpsc::channel();
        let cgroup = Cgroup::create(prefix, "clients")?;
        let directory = scratch(prefix, "story")?;
        let nat = Nat::create(prefix, timing.nat_timeout)?;
        let server = start_server(&nat, &directory, timing, events.clone())?;
        let segments = events.clone();
        let capture = Capture::observed(
            &nat.client,
            Nat::CLIENT_INTERFACE,
            Arc::new(move |segment| tell(&segments, Event::Segment(segment.clone()))),
        )?;
        let requests = AtomicU32::new(1);
        Ok((Self { server, capture, nat, directory, cgroup, timing, events, requests }, receiver))
    }

    /// The network it plays in.
    pub fn nat(&self) -> &Nat {
        &self.nat
    }

    /// The cgroup of all clients: what a policy must select.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The capture on the client's interface.
    pub fn capture(&self) -> &Capture {
        &self.capture
    }

    /// How long each part takes.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Makes sure that the server and the capture are still running.
    ///
    /// # Errors
    /// When one of them has ended; the error shows what it printed.
    pub fn check(&self) -> Result<()> {
        self.server.check()?;
        self.capture.check()
    }

    /// Starts a client and does not wait for it.
    ///
    /// # Errors
    /// When its program is missing.
    pub fn start(&self, kind: ClientKind) -> Result<Request<'_>> {
        self.start_through(kind, &[])
    }

    /// Like [`Story::start`], with `launcher` in front of the client's own command line.
    ///
    /// # Errors
    /// When a program is missing.
    pub fn start_through(&self, kind: ClientKind, launcher: &[OsString]) -> Result<Request<'_>> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("http://{}:{PORT}/{number}", Nat::SERVER_ADDRESS);
        let words = [launcher, &kind.words(self.directory.path(), &url, self.timing.read_timeout)?].concat();
        let (program, arguments) = words.split_first().context("a client without a program")?;
        let mut command = self.nat.client.command(program);
        command.args(arguments).in_cgroup(&self.cgroup);
        let events = self.events.clone();
        let observer = Arc::new(move |output: &Output| {
            if let Output::Ended(_) = output {
                tell(&events, Event::Ended(number));
            }
        });
        let process = Process::observed(&format!("the {} client", kind.label()), command, observer)?;
        Ok(Request::new(self, number, kind, process))
    }

    /// Runs a client to its end.
    ///
    /// # Errors
    /// When its program is missing, or does not even end at its read timeout.
    pub fn request(&self, kind: ClientKind) -> Result<Outcome> {
        self.start(kind)?.wait()
    }

    /// When the server wrote this line, if it did.
    fn server_said(&self, line: &str) -> Result<Option<Instant>> {
        self.server.wait_for("lines", |lines, _| {
            Some(lines.iter().find(|said| said.text == line).map(|said| said.at))
        })
    }
}

fn start_server(nat: &Nat, directory: &TempDir, timing: Timing, events: Sender<Event>) -> Result<Process> {
    let script = directory.path().join("server.py");
    std::fs::write(&script, include_str!("story/server.py"))
        .with_context(|| format!("writing {}", script.display()))?;
    let mut command: Command = nat.server.command("python3");
    command.arg(&script).arg(PORT.to_string()).arg(timing.answer_after.as_secs_f64().to_string());
    let observer = Arc::new(move |output: &Output| {
        if let Output::Line(line) = output
            && let Some(event) = server_event(&line.text)
        {
            tell(&events, event);
        }
    });
    let server = Process::observed("the server", command, observer)?;
    server.wait_line("listening")?;
    Ok(server)
}

fn server_event(line: &str) -> Option<Event> {
    let (verb, number) = line.split_once(' ')?;
    let number = number.parse().ok()?;
    match verb {
        "asked" => Some(Event::Asked(number)),
        "answered" => Some(Event::Answered(number)),
        _ => None,
    }
}

/// Nobody need listen.
fn tell(events: &Sender<Event>, event: Event) {
    let _ = events.send(event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_after_the_nat_forgot_and_before_the_client_gives_up() {
        let timing = Timing::around(Duration::from_secs(5));

        assert!(timing.nat_timeout < timing.answer_after);
        assert!(timing.answer_after < timing.read_timeout);
    }

    #[test]
    fn the_servers_lines_become_events() {
        assert_eq!(server_event("asked 3"), Some(Event::Asked(3)));
        assert_eq!(server_event("answered 12"), Some(Event::Answered(12)));
        assert_eq!(server_event("listening"), None);
    }
}
