//! Programs of others that come and go at random, in all ways and places, while the daemon does: on two hosts at a time,
//! one without the daemon, to tell what of it all is the daemon's doing.

use std::{fmt::Debug, os::fd::AsFd as _};

use aya_obj::generated::bpf_attach_type::{self, BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS};
use nix::sys::signal::Signal;
use xtask::lab::{Line, Process, bpf};

use super::{
    twins::{PLACES, Tools, Twin, expected},
    workload::play,
};
use crate::support::{
    UNTOUCHED, eventually,
    foreign::{Attachment, Way},
};

/// How many things happen; `KEEPALIVE_COEXIST_STEPS` has it otherwise.
const STEPS: usize = 40;

/// Where the policy's cgroup is among the three.
const GOVERNED: usize = 1;
const BELOW: usize = 2;

const MODES: [&str; 3] = ["Monitor", "Tighten", "Enforce"];

/// An attachment of one program, to both hosts.
struct Pair<'t> {
    program: usize,
    way: Way,
    place: usize,
    _attachments: [Attachment<'t>; 2],
}

impl Pair<'_> {
    /// Whether it was attached to be alone, or to give way to whatever comes below it.
    const fn is_exclusive(&self) -> bool {
        matches!(self.way, Way::Alone | Way::Override)
    }
}

/// A hook at which ours are, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    SockOps,
    SetOption,
}

impl Hook {
    /// That of one of the programs of others.
    const fn of(program: usize) -> Option<Self> {
        match program {
            0 => Some(Self::SockOps),
            1..=5 => Some(Self::SetOption),
            _ => None,
        }
    }
}

/// Both hosts, and what is there at the moment.
struct Stage<'t> {
    bare: Twin,
    twin: Twin,
    tools: [&'t Tools; 2],
    pairs: Vec<Pair<'t>>,
    daemon: Option<Process>,
    /// That of the policy file, and that of the policy which the daemon last put in force.
    mode: &'static str,
    in_force: &'static str,
    chance: fastrand::Rng,
    /// All that happened, for whoever reads of a failure.
    story: String,
}

pub(super) fn whatever_comes_and_goes_others_and_applications_see_the_same() {
    let seed = setting("KEEPALIVE_COEXIST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let steps = setting("KEEPALIVE_COEXIST_STEPS").unwrap_or(STEPS);
    let tools = [Tools::load(), Tools::load()];
    let [bare, twin] = [Twin::new("random-bare"), Twin::new("random")];
    twin.govern(MODES[1]);
    let mut stage = Stage {
        bare,
        twin,
        tools: [&tools[0], &tools[1]],
        pairs: Vec::new(),
        daemon: None,
        mode: MODES[1],
        in_force: MODES[1],
        chance: fastrand::Rng::with_seed(seed),
        story: format!("KEEPALIVE_COEXIST_SEED={seed}"),
    };
    for _ in 0..steps {
        let step = stage.step();
        stage.story = format!("{}\n{step}", stage.story);
        stage.settle();
        stage.compare();
    }
}

fn setting<T: std::str::FromStr<Err: Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

impl<'t> Stage<'t> {
    /// Something happens; says what.
    fn step(&mut self) -> String {
        match self.chance.u32(..10) {
            0..=3 => self.attach(),
            4..=6 if !self.pairs.is_empty() => {
                let pair = self.pairs.swap_remove(self.chance.usize(..self.pairs.len()));
                format!("detached {} {:?} {}", pair.program, pair.way, PLACES[pair.place])
            }
            7 | 8 => {
                self.mode = MODES[self.chance.usize(..MODES.len())];
                self.twin.govern(self.mode);
                format!("mode {}", self.mode)
            }
            _ => self.start_or_stop(),
        }
    }

    fn attach(&mut self) -> String {
        let program = self.chance.usize(..self.tools[0].programs().len());
        let way = [Way::Alone, Way::Override, Way::Multi, Way::Link][self.chance.usize(..4)];
        let place = self.chance.usize(..PLACES.len());
        let story = format!("attached {program} {way:?} {}", PLACES[place]);
        if self.pairs.iter().any(|pair| (pair.program, pair.place) == (program, place)) {
            return format!("not {story}, again");
        }
        let [bare, twin] = [(&self.bare, 0), (&self.twin, 1)]
            .map(|(host, index)| self.tools[index].programs()[program].attach(&host.cgroups[place], way));
        match (bare, twin) {
            (Ok(bare), Ok(twin)) => {
                self.pairs.push(Pair { program, way, place, _attachments: [bare, twin] });
                story
            }
            (Err(_), Err(_)) => format!("not {story}, refused"),
            // The kernel lets nobody be alone where somebody is, and lets others in below who shares.
            (bare, twin) => {
                assert!(!self.ours().is_empty(), "{story}: {:?} and {:?}", bare.err(), twin.err());
                format!("not {story}, refused on one host")
            }
        }
    }

    fn start_or_stop(&mut self) -> String {
        let Some(daemon) = self.daemon.take() else {
            let daemon = self.twin.host.start_with(self.twin.host.command("run"));
            // It says that it is ready, or why not.
            let told = ["ready: all policies", "cannot govern", "Enforce does not hold"];
            let has_told = |line: &Line| told.iter().any(|words| line.text.contains(words));
            daemon
                .wait_for("word of how it does", |lines, _| {
                    lines.iter().find(|line| has_told(line)).map(drop)
                })
                .unwrap();
            self.daemon = Some(daemon);
            return "the daemon starts".to_owned();
        };
        let signal = [Signal::SIGTERM, Signal::SIGKILL][self.chance.usize(..2)];
        daemon.signal(signal).unwrap();
        daemon.wait().unwrap();
        if self.chance.bool() {
            let cleaned = self.twin.host.run("cleanup", &[]);
            assert!(cleaned.status.success(), "{cleaned:?}");
            return format!("{signal} and cleanup");
        }
        signal.to_string()
    }

    /// Has a running daemon look at everything again, and waits until what can be attached is.
    fn settle(&mut self) {
        let Some(daemon) = &self.daemon else { return };
        daemon.signal(Signal::SIGHUP).unwrap();
        let enforces = self.mode == "Enforce";
        let free = !self.is_in_the_way(Hook::SockOps);
        let free_to_guard = free && !self.is_in_the_way(Hook::SetOption);
        let what = format!("the daemon governs what it can: {}", self.story);
        eventually(&what, || {
            let ours = self.ours();
            let (governs, guards) = (ours.contains(&Hook::SockOps), ours.contains(&Hook::SetOption));
            let in_force = !governs || self.mode_in_force().as_deref() == Some(self.mode);
            let guarded = if enforces { guards || !free_to_guard } else { !guards };
            ((governs || !free) && guarded && in_force).then_some(())
        });
        self.in_force = self.mode;
        if self.ours().contains(&Hook::SockOps) {
            self.twin.host.await_swept();
        }
    }

    /// Whether a program of others keeps ours out at a hook, or may.
    fn is_in_the_way(&self, hook: Hook) -> bool {
        self.pairs
            .iter()
            .any(|pair| pair.is_exclusive() && pair.place <= GOVERNED && Hook::of(pair.program) == Some(hook))
    }

    /// Where programs of ours are attached to the governed cgroup, as the kernel says.
    fn ours(&self) -> Vec<Hook> {
        let cgroup = &self.twin.cgroups[GOVERNED];
        let is_there = |hook: bpf_attach_type, ours: &str| {
            let ids = bpf::attached(cgroup, hook).unwrap().into_iter();
            // One that is detached meanwhile is gone.
            let mut names = ids.filter_map(|id| bpf::name(bpf::program(id).ok()?.as_fd()).ok());
            names.any(|name| name == ours)
        };
        let hooks = [
            (Hook::SockOps, is_there(BPF_CGROUP_SOCK_OPS, "keepalive")),
            (Hook::SetOption, is_there(BPF_CGROUP_SETSOCKOPT, "guard")),
        ];
        hooks.into_iter().filter(|(_, is_there)| *is_there).map(|(hook, _)| hook).collect()
    }

    fn mode_in_force(&self) -> Option<String> {
        let status = self.twin.host.status();
        status["cgroups"][0]["inForce"]["mode"].as_str().map(str::to_owned)
    }

    /// Plays the same on both hosts and sees that only what a policy has is not the same.
    fn compare(&self) {
        let story = &self.story;
        let ours = self.ours();
        for tools in self.tools {
            tools.forget();
        }
        let [bare, twin] = [&self.bare, &self.twin].map(|twin| play(&twin.host, &twin.cgroups[BELOW]));

        let governed = if ours.contains(&Hook::SockOps) { expected(self.in_force) } else { UNTOUCHED };
        assert_eq!((bare.owned, twin.owned), ([UNTOUCHED; 2], [governed; 2]), "{story}");
        let silenced = ours.iter().any(|hook| self.is_silenced(*hook));
        if !silenced {
            let is_guarded = ours.contains(&Hook::SetOption);
            let rest = if is_guarded { bare.rest.guarded() } else { bare.rest };
            assert_eq!(twin.rest, rest, "{story}");
            let [without, with] = [(self.tools[0], &self.bare), (self.tools[1], &self.twin)]
                .map(|(tools, twin)| tools.noted(&twin.host));
            assert_eq!(with, without, "{story}");
        }
    }

    /// Whether a program of others, attached above to give way or to be alone, does not run in the governed cgroup
    /// because one of ours is there already: the kernel's rule, of which nobody is told.
    fn is_silenced(&self, hook: Hook) -> bool {
        self.pairs
            .iter()
            .any(|pair| pair.is_exclusive() && pair.place < GOVERNED && Hook::of(pair.program) == Some(hook))
    }
}
