//! A running program: its output line by line, its signals, its end.

mod shared;

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use self::shared::{Shared, State};
use super::{patience, tool};

/// Which of its two outputs a program wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// One line that a program wrote, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was written to.
    pub stream: Stream,
    /// What it says; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// When it was read.
    pub at: Instant,
}

/// What an [`Observer`] is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The program wrote a line.
    Line(Line),
    /// The program ended.
    Ended(ExitStatus),
}

/// Called for each line and for the end of a program, on the threads that read them; it must not wait.
pub type Observer = Arc<dyn Fn(&Output) + Send + Sync>;

/// A program that was started; killed with its process group when dropped.
///
/// It runs in a process group of its own, so that Ctrl-C at the terminal does not reach it: its owner decides.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    started: Instant,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
}

impl Process {
    /// Starts `command` with its input and outputs connected to this guard.
    ///
    /// # Errors
    /// When the program is missing or may not be started.
    pub fn spawn(name: &str, command: Command) -> Result<Self> {
        Self::observed(name, command, Arc::new(|_| {}))
    }

    /// Like [`Process::spawn`]; `observer` hears of each line and of the end as they happen.
    ///
    /// # Errors
    /// When the program is missing or may not be started.
    pub fn observed(name: &str, mut command: Command, observer: Observer) -> Result<Self> {
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().map_err(|error| tool::start_failure(&command, error))?;
        let stdin = child.stdin.take();
        let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id beyond the kernel's range")?);
        let shared = Shared::watch(child, observer);
        Ok(Self { name: name.to_owned(), pid, started, stdin, shared })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Writes `line` and a line end to the program's stdin.
    ///
    /// # Errors
    /// When the program does not read any more.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().with_context(|| format!("the input of {} is closed", self.name))?;
        writeln!(stdin, "{line}").with_context(|| format!("writing to {}", self.name))
    }

    /// Closes the program's stdin: it reads an end of file.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// How many lines it has written: a place to start [`Process::wait_line_from`] at.
    pub fn mark(&self) -> usize {
        self.shared.lock().lines.len()
    }

    /// All lines of `stream` so far, joined with line ends.
    pub fn text(&self, stream: Stream) -> String {
        let state = self.shared.lock();
        let lines = state.lines.iter().filter(|line| line.stream == stream);
        lines.map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Waits for a line, on either stream and from the start of the output, that contains `pattern`.
    ///
    /// # Errors
    /// When the output ends without it, or after [`patience`]; the error shows what was printed instead.
    pub fn wait_line(&self, pattern: &str) -> Result<String> {
        self.wait_line_from(0, pattern)
    }

    /// Like [`Process::wait_line`], but only among the lines after the first `mark` ones.
    ///
    /// # Errors
    /// When the output ends without it, or after [`patience`]; the error shows what was printed instead.
    pub fn wait_line_from(&self, mark: usize, pattern: &str) -> Result<String> {
        let wanted = |line: &Line| line.text.contains(pattern).then(|| line.text.clone());
        self.wait_for(&format!("line with {pattern:?}"), |lines, _| lines.iter().skip(mark).find_map(wanted))
    }

    /// Waits until `look` finds something in the lines so far; `what` names it in the error ("printed no …").
    ///
    /// `look` is called after each change, with all lines and whether more can come.
    ///
    /// # Errors
    /// When the output ends without it, or after [`patience`]; the error shows what was printed instead.
    pub fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&[Line], bool) -> Option<T>) -> Result<T> {
        let mut found = None;
        let state = self.shared.wait_until(patience(), |state| {
            found = look(&state.lines, state.open > 0);
            found.is_some() || state.open == 0
        });
        found.ok_or_else(|| self.explain(&format!("printed no {what}"), &state))
    }

    /// Waits until the program has ended.
    ///
    /// # Errors
    /// When it runs on for longer than [`patience`].
    pub fn wait(&self) -> Result<ExitStatus> {
        let state = self.shared.wait_until(patience(), |state| state.ended.is_some());
        match state.ended {
            Some((status, _)) => Ok(status),
            None => Err(self.explain("does not end", &state)),
        }
    }

    /// Waits until the program has ended and everything that it wrote is read.
    ///
    /// # Errors
    /// When it runs on for longer than [`patience`], or leaves its outputs open in a descendant that does.
    pub fn wait_output(&self) -> Result<ExitStatus> {
        let status = self.wait()?;
        let state = self.shared.wait_until(patience(), |state| state.open == 0);
        if state.open > 0 {
            return Err(self.explain("ended, but a descendant keeps its output open", &state));
        }
        Ok(status)
    }

    /// The status and the time of the program's end, if it has ended.
    pub fn ended(&self) -> Option<(ExitStatus, Instant)> {
        self.shared.lock().ended
    }

    /// Makes sure that the program is still running.
    ///
    /// # Errors
    /// When it has ended; the error shows what it printed.
    pub fn check(&self) -> Result<()> {
        let state = self.shared.lock();
        if state.ended.is_some() { Err(self.explain("should still be running", &state)) } else { Ok(()) }
    }

    /// Sends `signal` to the process alone.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let state = self.shared.lock();
        if state.ended.is_some() {
            bail!("{} has ended already, {signal} cannot be sent to it", self.name);
        }
        // The lock keeps the process from being reaped, so that the id is still its own.
        kill(self.pid, signal).with_context(|| format!("sending {signal} to {}", self.name))
    }

    fn explain(&self, complaint: &str, state: &State) -> anyhow::Error {
        let end = match state.ended.map(|(status, _)| status) {
            Some(status) => match status.signal() {
                Some(signal) => format!("it was killed by signal {signal}"),
                None => format!("it ended with {status}"),
            },
            None => format!("it has been running for {} s", self.started.elapsed().as_secs()),
        };
        let printed = state.lines.iter().map(|line| format!("\n  | {}", line.text)).collect::<String>();
        let printed = if printed.is_empty() { " nothing".to_owned() } else { printed };
        anyhow!("{} {complaint}; {end}; it printed:{printed}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        {
            let state = self.shared.lock();
            if std::thread::panicking() {
                // Whoever reads of the failed test wants to know what this one had to say.
                let printed =
                    state.lines.iter().map(|line| format!("  | {}\n", line.text)).collect::<String>();
                let _ = write!(std::io::stderr(), "{} had printed:\n{printed}", self.name);
            }
            if state.ended.is_some() {
                return;
            }
            // The lock keeps the process from being reaped, so that the group's id is still its own.
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
        let state = self.shared.wait_until(patience(), |state| state.ended.is_some());
        if state.ended.is_none() {
            super::report_leftover(
                &format!("process {} ({})", self.pid, self.name),
                &anyhow!("it does not die"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
