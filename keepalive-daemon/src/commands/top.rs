//! `top`: the live view's way to the terminal and to the daemon.

mod asker;
mod screen;
mod signals;

use std::{
    io::{self, IsTerminal as _},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::sys::signal::Signal;
use ratatui::crossterm::event::{self, Event};

use super::failure::Verdict;
use crate::{
    cli::{BpffsArg, SocketArg},
    policy::parse_duration,
    top::{News, Question, Top, draw},
};
use asker::Asker;
use screen::Screen;
use signals::Signals;

/// Watch the governed cgroups live, and the connections of one of them.
///
/// Press `?` for the keys. Asks the daemon; while none answers, shows what is pinned, which is what is in force. Needs
/// a terminal: where there is none, `status` prints the same.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How long to wait between two pictures, 100ms to 1h.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = |text: &str| interval(text))]
    interval: Duration,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    bpffs: BpffsArg,
}

/// Below it the daemon has more to do with telling than with working; above it nobody waits.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

fn interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(interval) if INTERVALS.contains(&interval) => Ok(interval),
        Ok(_) => Err("it is not within 100ms and 1h".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// What the view has to follow.
enum Happening {
    Terminal(io::Result<Event>),
    News(Box<News>),
    Signal(Signal),
    /// One of the threads that tell of these is gone.
    Silence,
}

/// A thread's way to tell the view. That it is dropped is told, too: the thread has failed then.
#[derive(Clone)]
struct Voice(Sender<Happening>);

impl Voice {
    /// Whether anybody still listens.
    fn say(&self, happening: Happening) -> bool {
        self.0.send(happening).is_ok()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        // Whoever listens may have ended first, as it does when all is well.
        let _ = self.0.send(Happening::Silence);
    }
}

/// Draws until somebody has enough.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        bail!(
            "`top` draws on a terminal, and this is none; `status` and `sockets --watch` print the same as text"
        );
    }
    let (tell, happenings) = mpsc::channel();
    // Before any thread is started, so that all of them leave signals alone.
    let signals = Signals::take()?;
    let Options { interval, socket, bpffs } = options.clone();
    let asker = Asker { socket: socket.api_socket, bpffs: bpffs.bpffs, interval };
    let (ask, questions) = mpsc::channel();
    let mut screen = Screen::open()?;
    start("signals", Voice(tell.clone()), move |voice| signals.forward(voice))?;
    start("asker", Voice(tell.clone()), move |voice| asker.follow(&questions, voice))?;
    start("keys", Voice(tell), forward_keys)?;
    let ended_by = follow(&mut screen, &happenings, &ask);
    // First of all: what is said from here on is to be seen.
    drop(screen);
    if let Some(signal) = ended_by? {
        signals::die_of(signal)?;
    }
    Ok(Verdict::Good)
}

fn start(name: &str, voice: Voice, work: impl FnOnce(&Voice) + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || work(&voice)).with_context(|| format!("cannot start a thread for {name}"))?;
    Ok(())
}

fn forward_keys(voice: &Voice) {
    loop {
        let event = event::read();
        let is_last = event.is_err();
        if !voice.say(Happening::Terminal(event)) || is_last {
            return;
        }
    }
}

/// Draws what happens until somebody has enough; `Some` if it was told so by a signal.
fn follow(
    screen: &mut Screen,
    happenings: &Receiver<Happening>,
    ask: &Sender<Question>,
) -> Result<Option<Signal>> {
    let mut top = Top::new();
    let mut asked = top.question();
    while !top.is_over() {
        screen.draw(|frame| draw(frame, &mut top))?;
        let first = happenings.recv().context("all threads of `top` are gone")?;
        // Whatever came meanwhile is drawn at once.
        for happening in std::iter::once(first).chain(happenings.try_iter()) {
            match happening {
                Happening::Terminal(Ok(Event::Key(key))) if key.is_press() => top.press(key),
                Happening::Terminal(Ok(_)) => {}
                Happening::Terminal(Err(error)) => {
                    return Err(error).context("cannot read the terminal's keys");
                }
                Happening::News(news) => top.hear(*news, Instant::now()),
                Happening::Signal(signal) => return Ok(Some(signal)),
                Happening::Silence => bail!("a thread of `top` has failed"),
            }
        }
        if top.question() != asked {
            asked = top.question();
            // Without an asker there is silence soon.
            let _ = ask.send(asked.clone());
        }
    }
    Ok(None)
}
