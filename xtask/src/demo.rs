//! `cargo xtask demo`: the story this project starts from, with real parts, and how it ends with the daemon.

mod ending;
mod guard;
mod half;
mod happenings;
mod screen;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::lab::story::{ClientKind, Story, Timing};
use crate::lab::{DEMO_PREFIX, Nat};
use crate::{build, console, process, setup};
use ending::Report;
use guard::Guard;
use half::{Half, Player};
use happenings::Happenings;
use screen::Screen;

/// Plays the story of a connection that a NAT forgets: once as it is, once with the daemon running.
///
/// Needs root, because it makes network namespaces and a cgroup; it removes them at the end and on Ctrl-C.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// After how many silent seconds the NAT forgets a connection (3 to 60); everything else follows from it.
    #[arg(long, value_name = "SECS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..=60))]
    timeout: u16,
    /// Leave the stage standing at the end, to look around, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Use this daemon instead of building one.
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
}

/// Plays both halves and tells what happens.
///
/// # Errors
///
/// If a part cannot be built or started, if it is interrupted, or if a half does not go as told.
pub fn run(options: Options) -> Result<()> {
    let Options { timeout, keep, daemon } = options;
    setup::test_tools()?;
    let daemon = daemon.map_or_else(build::daemon, Ok)?;
    if !process::is_root() {
        return Err(again_as_root(timeout, keep, &daemon)?);
    }
    let daemon =
        daemon.canonicalize().with_context(|| format!("there is no daemon at {}", daemon.display()))?;
    play(Timing::around(Duration::from_secs(timeout.into())), keep, daemon)
}

/// What was built as the user need not be built again as root.
fn again_as_root(timeout: u16, keep: bool, daemon: &PathBuf) -> Result<anyhow::Error> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
    command.args(["demo", "--timeout", &timeout.to_string(), "--daemon"]).arg(daemon);
    if keep {
        command.arg("--keep");
    }
    Ok(process::become_command(&mut process::as_root(&command)?))
}

fn play(timing: Timing, keep: bool, daemon: PathBuf) -> Result<()> {
    let happenings = Happenings::watch_signals()?;
    let mut screen = Screen::new();
    introduce(&mut screen, timing);

    let (story, events) = Story::new(DEMO_PREFIX, timing)?;
    happenings.follow(events);
    let idle = probe_every(timing);
    let curl = ClientKind::Curl { keepalive: Some(idle) };

    screen.heading("Without a policy");
    let mut reports =
        Player::new(&story, &happenings, &mut screen).play(Half::Bare, &[ClientKind::Jvm, curl])?;

    screen.heading("With the daemon and a policy for the client's cgroup");
    let guard = Guard::start(daemon, &story, idle, &happenings, &mut screen)?;
    let mut player = Player::new(&story, &happenings, &mut screen);
    reports.extend(player.play(Half::Guarded, &[ClientKind::Jvm])?);
    guard.check()?;

    screen.heading("In short");
    console::result(ending::table(&reports));
    if keep {
        wait_for_visitors(&story, &guard, &happenings, &mut screen)?;
    }
    guard.stop(&mut screen)?;
    drop(story);
    screen.line("everything that the demo made is removed");
    judge(&reports, idle)
}

/// Half of what the NAT allows, so that one lost probe does not lose the connection; in whole seconds, as the
/// kernel and curl count them.
fn probe_every(timing: Timing) -> u32 {
    u32::try_from(timing.nat_timeout.as_secs() / 2).unwrap_or(u32::MAX).max(1)
}

fn introduce(screen: &mut Screen, timing: Timing) {
    let seconds = |duration: Duration| duration.as_secs();
    screen.heading("The stage: three network namespaces");
    screen.line(format_args!(
        "client {} -- NAT -- server {}: an HTTP server that works {} s on an answer",
        Nat::CLIENT_ADDRESS,
        Nat::SERVER_ADDRESS,
        seconds(timing.answer_after)
    ));
    screen.line(format_args!(
        "the NAT forgets a connection after {} s of silence, as an AWS NAT does after 350 s: this clock runs faster",
        seconds(timing.nat_timeout)
    ));
    screen.line(format_args!("the clients give up after {} s", seconds(timing.read_timeout)));
    screen.line("curl asks for keep-alive by itself, every 60 s; on this clock it gets --keepalive-time");
}

fn wait_for_visitors(
    story: &Story,
    guard: &Guard,
    happenings: &Happenings,
    screen: &mut Screen,
) -> Result<()> {
    screen.heading("Kept as it is until Ctrl-C; look around in another terminal");
    let nat = story.nat();
    screen.line(format_args!("ip netns exec {} ss -tnop", nat.client.name()));
    screen.line(format_args!("ip netns exec {} conntrack -L", nat.nat.name()));
    screen.line(format_args!("cat {}/cgroup.procs", story.cgroup().path().display()));
    screen.line(guard.status_command());
    happenings.wait_for_interrupt();
    Ok(())
}

fn judge(reports: &[Report], idle: u32) -> Result<()> {
    let deviations: Vec<_> = reports.iter().flat_map(|report| report.deviations(idle)).collect();
    if !deviations.is_empty() {
        bail!("the story did not go as told: {}", deviations.join("; "));
    }
    console::result("\nSame client, same server, same NAT: with the policy the answer arrives.");
    Ok(())
}
