//! One client's request, from its start to how it went.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Story;
use super::client::{ClientKind, TIMED_OUT};
use crate::lab::{Process, SocketRow, Stream, sockets};

/// A client that was started; killed when dropped.
#[derive(Debug)]
pub struct Request<'a> {
    story: &'a Story,
    number: u32,
    kind: ClientKind,
    process: Process,
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended for the client.
    pub ending: Ending,
    /// Whether the server had sent its answer by then.
    pub server_answered: bool,
    /// How long the client waited, from the moment the server got the request.
    pub waited: Duration,
}

/// How a request ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The server's answer to this very request arrived.
    Answered,
    /// Nothing arrived until the client's read timeout.
    TimedOut,
    /// Something else, in the client's words.
    Failed(String),
}

impl<'a> Request<'a> {
    pub(super) fn new(story: &'a Story, number: u32, kind: ClientKind, process: Process) -> Self {
        Self { story, number, kind, process }
    }

    /// The number by which [`Event`](super::Event)s name it.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The program that asks.
    pub fn kind(&self) -> ClientKind {
        self.kind
    }

    /// The client's process, or its launcher's.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until the server has got the request: from then on the connection is silent.
    ///
    /// # Errors
    /// When the request does not come.
    pub fn wait_asked(&self) -> Result<()> {
        self.story.server.wait_line(&format!("asked {}", self.number)).map(drop)
    }

    /// The client's connection as the kernel shows it, if it has one.
    ///
    /// # Errors
    /// When `ss` fails.
    pub fn socket(&self) -> Result<Option<SocketRow>> {
        let rows = sockets(&self.story.nat.client)?;
        Ok(rows.into_iter().find(|row| row.pids.contains(&self.process.pid())))
    }

    /// Waits until the client has ended.
    ///
    /// # Errors
    /// When it does not even end at its read timeout or within a minute, or the server never got its request.
    pub fn wait(&self) -> Result<Outcome> {
        let status = self.process.wait_output()?;
        let ended = self.process.ended().map_or_else(Instant::now, |(_, at)| at);
        let Some(asked) = self.story.server_said(&format!("asked {}", self.number))? else {
            bail!("the {} client never reached the server: {}", self.kind.label(), self.failure(status));
        };
        let ending = self.ending(status);
        let answered = format!("answered {}", self.number);
        if ending == Ending::Answered {
            // The client can be done before the server has said that it has sent what the client got.
            self.story.server.wait_line(&answered)?;
        }
        let server_answered = self.story.server_said(&answered)?.is_some();
        Ok(Outcome { ending, server_answered, waited: ended.duration_since(asked) })
    }

    fn ending(&self, status: ExitStatus) -> Ending {
        let answer = format!("the answer to {}", self.number);
        match status.code() {
            Some(0) if self.process.text(Stream::Stdout).contains(&answer) => Ending::Answered,
            Some(TIMED_OUT) => Ending::TimedOut,
            _ => Ending::Failed(self.failure(status)),
        }
    }

    fn failure(&self, status: ExitStatus) -> String {
        let how = match status.signal() {
            Some(signal) => format!("killed by signal {signal}"),
            None => status.to_string(),
        };
        format!("{how}; {}", self.process.text(Stream::Stderr))
    }
}
