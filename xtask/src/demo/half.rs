//! Plays one half of the demo and explains what happens in a line each.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::ending::{Memory, Report};
use super::happenings::{Happening, Happenings};
use super::screen::Screen;
use crate::lab::Output;
use crate::lab::capture::{Kind, Segment};
use crate::lab::story::{ClientKind, Ending, Event, Request, Story};

/// How often the sockets and the NAT are looked at while nothing happens.
const LOOK: Duration = Duration::from_secs(1);

/// Which half of the demo it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// Nobody helps the clients.
    Bare,
    /// The daemon runs, with a policy for them.
    Guarded,
}

/// Plays halves.
pub(super) struct Player<'a> {
    story: &'a Story,
    happenings: &'a Happenings,
    screen: &'a mut Screen,
}

/// One client on the stage, and what was seen of it.
struct Role<'a> {
    request: Request<'a>,
    /// Its connection's port, known from the moment it has asked.
    port: Option<u16>,
    forgotten: bool,
    ended: bool,
    report: Report,
}

impl<'a> Player<'a> {
    pub(super) fn new(story: &'a Story, happenings: &'a Happenings, screen: &'a mut Screen) -> Self {
        Self { story, happenings, screen }
    }

    /// Starts the clients together and tells what happens until the last of them has ended.
    pub(super) fn play(&mut self, half: Half, clients: &[ClientKind]) -> Result<Vec<Report>> {
        let mut roles = Vec::new();
        for &kind in clients {
            let request = self.story.start(kind)?;
            self.screen.event(kind.label(), "starts");
            roles.push(Role {
                request,
                port: None,
                forgotten: false,
                ended: false,
                report: Report::new(half, kind),
            });
        }
        let mut look = Instant::now() + LOOK;
        while !roles.iter().all(Role::is_over) {
            match self.happenings.next(look.saturating_duration_since(Instant::now())) {
                None => {
                    look = Instant::now() + LOOK;
                    self.story.check()?;
                    self.look(&mut roles)?;
                }
                Some(Happening::Interrupted) => {
                    bail!("interrupted; everything that the demo made is removed")
                }
                Some(Happening::Daemon(Output::Line(line))) => self.screen.event("daemon", line.text),
                Some(Happening::Daemon(Output::Ended(status))) => {
                    bail!("the daemon ended early, with {status}")
                }
                Some(Happening::Story(event)) => self.react(&mut roles, event)?,
            }
        }
        Ok(roles.into_iter().map(|role| role.report).collect())
    }

    fn react(&mut self, roles: &mut [Role<'_>], event: Event) -> Result<()> {
        let number = match event {
            Event::Segment(segment) => {
                self.explain(roles, &segment);
                return Ok(());
            }
            Event::Asked(number) | Event::Answered(number) | Event::Ended(number) => number,
        };
        let Some(role) = roles.iter_mut().find(|role| role.request.number() == number) else { return Ok(()) };
        match event {
            Event::Asked(_) => self.asked(role),
            Event::Answered(_) => self.answered(role),
            _ => self.ended(role),
        }
    }

    fn asked(&mut self, role: &mut Role<'_>) -> Result<()> {
        role.port = role.request.socket()?.map(|row| row.local.port());
        let seconds = self.story.timing().answer_after.as_secs();
        self.screen.event(
            role.label(),
            format_args!(
                "the server has the request and works on it for {seconds} s; the connection is silent"
            ),
        );
        Ok(())
    }

    fn answered(&mut self, role: &mut Role<'_>) -> Result<()> {
        let remembered = self.remaining(role)?.is_some();
        role.report.nat_at_answer = Some(if remembered { Memory::Kept } else { Memory::Lost });
        let fate = if remembered {
            "the NAT knows the connection and passes it on"
        } else {
            "the NAT knows no such connection and drops it without a word"
        };
        self.screen.event(role.label(), format_args!("the server answers; {fate}"));
        Ok(())
    }

    fn ended(&mut self, role: &mut Role<'_>) -> Result<()> {
        role.ended = true;
        let outcome = role.request.wait()?;
        let waited = outcome.waited.as_secs_f32();
        let text = match &outcome.ending {
            Ending::Answered => format!("the answer arrived after {waited:.1} s"),
            Ending::TimedOut => format!("heard nothing and gave up after {waited:.1} s: its read timeout"),
            Ending::Failed(why) => format!("failed after {waited:.1} s: {why}"),
        };
        self.screen.event(role.label(), text);
        role.report.outcome = Some(outcome);
        Ok(())
    }

    /// One line for each segment that means something here; plain acknowledgements do not.
    fn explain(&mut self, roles: &mut [Role<'_>], segment: &Segment) {
        let ports = [segment.from.port(), segment.to.port()];
        let Some(role) = roles.iter_mut().find(|role| role.port.is_some_and(|port| ports.contains(&port)))
        else {
            return;
        };
        let from_client = role.port == Some(segment.from.port());
        let text = match segment.kind {
            Kind::KeepAliveProbe if from_client => {
                role.report.probes += 1;
                "wire: keep-alive probe to the server, sent by the client's kernel".to_owned()
            }
            Kind::KeepAliveAnswer if !from_client => {
                "wire: ACK from the server's kernel; the NAT has seen traffic and starts counting again"
                    .to_owned()
            }
            Kind::Data(bytes) if !from_client => format!("wire: {bytes} bytes of the answer"),
            Kind::Reset => "wire: reset".to_owned(),
            _ => return,
        };
        self.screen.event(role.label(), text);
    }

    /// Looks at the clients' sockets and at the NAT's table.
    fn look(&mut self, roles: &mut [Role<'_>]) -> Result<()> {
        let mut waiting = Vec::new();
        for role in roles.iter_mut().filter(|role| role.port.is_some() && !role.ended) {
            self.look_at_socket(role)?;
            let left = self.remaining(role)?;
            if left.is_none() && !role.forgotten {
                role.forgotten = true;
                self.screen.event(role.label(), "the NAT has forgotten the connection; neither end is told");
            }
            waiting.push(match left {
                Some(left) => {
                    format!("{}: the NAT forgets in {} s", role.label(), left.as_secs())
                }
                None => format!("{}: the NAT has forgotten", role.label()),
            });
        }
        let all = if waiting.is_empty() { "the clients are starting".to_owned() } else { waiting.join("; ") };
        self.screen.waiting(&all);
        Ok(())
    }

    /// The proof from the kernel, once for each client.
    fn look_at_socket(&mut self, role: &mut Role<'_>) -> Result<()> {
        let Some(row) = role.request.socket()?.filter(|_| role.report.keepalive.is_none()) else {
            return Ok(());
        };
        // A retransmission in flight hides the keep-alive timer; the next look sees it.
        if row.timer.as_ref().is_some_and(|timer| timer.name != "keepalive") {
            return Ok(());
        }
        let shown = match &row.timer {
            // `ss` writes 1.792 s as "1.792ms".
            Some(timer) => format!("timer:{}: {:.1} s left", timer.shown, timer.remaining.as_secs_f32()),
            None => "no timer".to_owned(),
        };
        self.screen
            .event(role.label(), format_args!("ss -tno: {} {} {} {shown}", row.state, row.local, row.peer));
        role.report.keepalive = Some(row.keepalive());
        Ok(())
    }

    /// How long the NAT still remembers the client's connection, if it does.
    fn remaining(&self, role: &Role<'_>) -> Result<Option<Duration>> {
        let flows = self.story.nat().flows()?;
        Ok(flows.into_iter().find(|flow| Some(flow.source.port()) == role.port).map(|flow| flow.remaining))
    }
}

impl Role<'_> {
    /// A client that has the answer can end before the server has said that it sent it.
    fn is_over(&self) -> bool {
        let answered = self.report.outcome.as_ref().is_some_and(|outcome| outcome.ending == Ending::Answered);
        self.ended && (!answered || self.report.nat_at_answer.is_some())
    }

    fn label(&self) -> &'static str {
        self.request.kind().label()
    }
}
