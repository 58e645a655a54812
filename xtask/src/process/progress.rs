//! A long command, with a sign of life for whoever waits.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, PipeReader},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use super::{describe, failed, not_started};
use crate::console;

/// How many of the last lines a failure repeats.
const TAIL: usize = 30;
/// How often the line of a terminal is drawn again, so that the seconds are seen to pass.
const REDRAW: Duration = Duration::from_secs(1);
/// How often a log that nobody watches gets a line.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// What fits on a line of a terminal of 80 columns.
const WIDTH: usize = 78;

/// Runs `command` without input and shows `what` is going on, for how long, and its last line of output.
///
/// # Errors
///
/// If it cannot be started or does not succeed; the error has the last lines that it printed.
pub fn run_with_progress(what: &str, command: &mut Command) -> Result<()> {
    let start = Instant::now();
    let watched = console::is_watched();
    if !watched {
        console::progress(format_args!("{what} …"));
    }
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let second = writer.try_clone().context("cannot make a pipe")?;
    let spawned = command.stdin(Stdio::null()).stdout(writer).stderr(second).spawn();
    // The command keeps the pipe's end, and with it the pipe never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = spawned.map_err(|error| not_started(command, error))?;

    let tail = follow(reader, |last| {
        let seconds = start.elapsed().as_secs();
        if watched {
            console::status(&fit(&format!("{what} … {seconds} s  {last}")));
        } else {
            console::progress(format_args!("{what} … {seconds} s so far: {last}"));
        }
    });
    if watched {
        console::status("");
    }

    let status = child.wait().with_context(|| format!("cannot wait for `{}`", describe(command)))?;
    if !status.success() {
        let said = Vec::from(tail).join("\n");
        return Err(anyhow!("{said}").context(failed(command, status)));
    }
    console::progress(format_args!("{what}: done in {:.1} s", start.elapsed().as_secs_f32()));
    Ok(())
}

/// Reads to the end and returns the last lines; calls `show` with the last one in the rhythm that suits who
/// watches.
fn follow(reader: PipeReader, mut show: impl FnMut(&str)) -> VecDeque<String> {
    let (sender, lines) = mpsc::channel();
    let reading = thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(io::Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let rhythm = if console::is_watched() { REDRAW } else { HEARTBEAT };
    let mut tail = VecDeque::with_capacity(TAIL);
    let mut shown = Instant::now();
    loop {
        match lines.recv_timeout(rhythm.saturating_sub(shown.elapsed())) {
            Ok(line) => {
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            Err(RecvTimeoutError::Timeout) => {
                show(tail.back().map_or("", String::as_str));
                shown = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // It has sent all it had; a panic of it would have been printed by itself.
    drop(reading.join());
    tail
}

fn fit(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(WIDTH).collect()
}
