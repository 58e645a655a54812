//! The sweep of connections that are open already, against a bare iterator that sets the same and against `ss`.

mod crowd;
mod iterator;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::signal::Signal;

pub(super) use self::crowd::Crowd;
use self::{crowd::Stalls, iterator::BareIterator};
use super::{
    Bench,
    cgroups::milliseconds,
    findings::{Findings, Growth, Table},
    goals::{Figure, Quantity, Unit},
    statistics::Estimate,
};
use crate::{lab::Cgroup, process, soak::site::Site};

/// How many ends of connections, each with its part of the time in percent. Both ends of each are swept.
const SIZES: [(u32, u32); 3] = [(1000, 10), (10_000, 20), (100_000, 70)];
const QUICK_SIZES: [(u32, u32); 2] = [(1000, 30), (10_000, 70)];

/// More rounds make nothing surer.
const ROUNDS: usize = 30;

/// How long the application asks and answers with nothing beside it.
const ALONE: Duration = Duration::from_millis(200);

/// What has a turn in each round.
const OURS: usize = 0;
const BARE: usize = 1;
const SS: usize = 2;
const OURS_PINGED: usize = 3;
const BARE_PINGED: usize = 4;
const ALONE_PINGED: usize = 5;
const THINGS: usize = 6;

/// What is swept, and by whom.
struct Scene<'a> {
    site: &'a Site,
    crowd: Crowd<'a>,
    iterator: BareIterator,
    /// Counts up, so that each policy is another.
    changes: u32,
}

/// What a size came to, in milliseconds.
#[derive(Default)]
struct Size {
    ours: Vec<f64>,
    /// One walk, and two.
    bare: Vec<f64>,
    bare_twice: Vec<f64>,
    ss: Vec<f64>,
    /// By the daemon, by the bare iterator twice, and with nothing beside.
    stalls: [Vec<Stalls>; 3],
}

pub(super) fn measure(bench: &Bench, deadline: Instant) -> Result<Findings> {
    // No delay and no limit, which by default is 1000 connections a second.
    let site = Site::prepare(&bench.daemon, &["--sweep-delay", "0s", "--sweep-rate", "0"])?;
    let cgroup: Cgroup = site.cgroup("app")?;
    site.start()?;
    let crowd = Crowd::new(bench, &site.netns, &cgroup)?;
    let mut scene = Scene { site: &site, crowd, iterator: BareIterator::new(bench)?, changes: 0 };
    scene.write_policy()?;
    // The first one loads the program.
    site.wait_log(0, "swept open connections", 1)?;

    let sizes: &[(u32, u32)] = if bench.quick { &QUICK_SIZES } else { &SIZES };
    let budget = deadline.saturating_duration_since(Instant::now());
    let mut whole = Table::new("Sweep of open connections", "ms");
    let mut each = Table::new("Sweep of open connections, for each end of one", "µs");
    let mut stalls = Table::new("Longest wait of an application for an answer meanwhile", "ms");
    let (mut points, mut figures) = (Vec::new(), Vec::new());
    for (size, percent) in sizes {
        let until = (Instant::now() + budget * *percent / 100).min(deadline);
        scene.crowd.grow_to(*size)?;
        let mut found = Size::default();
        bench.rounds(&format!("{size} ends of connections"), THINGS, ROUNDS, until, |thing| {
            scene.measure(thing, &mut found)
        })?;
        let Size { ours, bare, bare_twice, ss, stalls: [ours_stalls, bare_stalls, alone] } = &found;
        let name = format!("{size} ends");
        let bases: [(&str, &[f64]); 3] =
            [("bare, two walks", bare_twice), ("bare, one walk", bare), ("ss -tn", ss)];
        whole.add_against(&name, ours, &bases);
        whole.add(format!("{name}, bare iterator, two walks"), bare_twice);
        whole.add(format!("{name}, bare iterator, one walk"), bare);
        whole.add(format!("{name}, `ss -tn`"), ss);
        for (what, values) in [("", ours), (", bare iterator, two walks", bare_twice)] {
            let per_end: Vec<f64> = values.iter().map(|value| 1000.0 * value / f64::from(*size)).collect();
            each.add(format!("{name}{what}"), &per_end);
        }
        for (what, values) in [("", ours_stalls), (", bare iterator", bare_stalls), (", no sweep", alone)] {
            let longest: Vec<f64> = values.iter().map(|stalls| stalls.longest).collect();
            let p999: Vec<f64> = values.iter().map(|stalls| stalls.p999).collect();
            stalls.add(format!("{name}{what}"), &longest);
            stalls.add(format!("{name}{what}, 99.9 % of answers"), &p999);
        }
        points.extend(Estimate::of_median(ours).map(|median| (f64::from(*size), median.value)));
        // Of the last, and so of the most.
        figures = figures_of(&found);
    }
    whole.note(
        "without a limit to how many are changed a second; from the change of the policy to the word that all is swept",
    );
    whole.note(
        "a sweep walks until a walk finds nothing to change, as a walk misses what moves in the kernel's tables \
         meanwhile: twice at least; the bare iterator sets everything again in its second walk",
    );
    stalls
        .note("the longest of each round; the application's own connections are among those that are swept");
    let growths = vec![Growth::new("sweep", "connections", 1.0, points)];
    Ok(Findings { tables: vec![whole, each, stalls], growths, figures, ..Findings::default() })
}

fn figures_of(found: &Size) -> Vec<Figure> {
    let ratio = Estimate::of_ratio(found.ours.iter().copied().zip(found.bare_twice.iter().copied()));
    let [ours, bare, _] = &found.stalls;
    let beyond: Vec<f64> = ours.iter().zip(bare).map(|(ours, bare)| ours.longest - bare.longest).collect();
    let against = ratio.map(|estimate| Figure {
        quantity: Quantity::SweepAgainstBare,
        name: "against bare",
        estimate,
        unit: Unit::Times,
    });
    let stall = Estimate::of_median(&beyond).map(|estimate| Figure {
        quantity: Quantity::SweepStall,
        name: "stall beyond the bare iterator's",
        estimate,
        unit: Unit::Milliseconds,
    });
    against.into_iter().chain(stall).collect()
}

impl Scene<'_> {
    fn measure(&mut self, thing: usize, found: &mut Size) -> Result<()> {
        match thing {
            OURS => found.ours.push(self.swept()?),
            BARE => {
                let [first, second] = self.walked()?;
                found.bare.push(first);
                found.bare_twice.push(first + second);
            }
            SS => found.ss.push(self.listed()?),
            OURS_PINGED => {
                self.crowd.disarm()?;
                let (site, changes) = (self.site, self.next_change());
                found.stalls[0].push(self.crowd.stalls(|| sweep(site, changes))?);
                self.check_swept()?;
            }
            BARE_PINGED => {
                self.crowd.disarm()?;
                let (site, iterator) = (self.site, &mut self.iterator);
                found.stalls[1].push(self.crowd.stalls(|| walk_twice(iterator, site))?);
            }
            ALONE_PINGED => found.stalls[2].push(self.crowd.stalls(|| {
                std::thread::sleep(ALONE);
                Ok(())
            })?),
            _ => {}
        }
        Ok(())
    }

    /// Has the daemon sweep.
    fn swept(&mut self) -> Result<f64> {
        self.crowd.disarm()?;
        let took = sweep(self.site, self.next_change())?;
        self.check_swept()?;
        Ok(took)
    }

    /// Makes sure that the daemon has swept all; what it said of it otherwise tells why it has not.
    fn check_swept(&mut self) -> Result<()> {
        let (crowd, site) = (&mut self.crowd, self.site);
        let swept = crowd.check_armed("the daemon's sweep");
        swept.map_err(|error| anyhow!("{error:#}; the daemon logged:\n{}", site.log_tail()))?;
        site.check()
    }

    /// Has the bare iterator walk twice.
    fn walked(&mut self) -> Result<[f64; 2]> {
        self.crowd.disarm()?;
        let took = walk_twice(&mut self.iterator, self.site)?;
        self.crowd.check_armed("the bare iterator")?;
        Ok(took)
    }

    fn listed(&self) -> Result<f64> {
        let ss = process::find("ss").context("there is no ss: run `cargo xtask setup`")?;
        let mut command = self.site.netns.command(ss);
        command.arg("-tn").stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status().context("cannot start ss")?;
        ensure!(status.success(), "ss -tn ended with {status}");
        Ok(milliseconds(start.elapsed()))
    }

    fn write_policy(&mut self) -> Result<()> {
        let changes = self.next_change();
        write_policy(self.site, changes)
    }

    fn next_change(&mut self) -> u32 {
        self.changes += 1;
        self.changes
    }
}

/// Changes the policy; returns how long it took until open connections had it, in milliseconds.
fn sweep(site: &Site, changes: u32) -> Result<f64> {
    let mark = site.mark()?;
    write_policy(site, changes)?;
    site.signal(Signal::SIGHUP)?;
    let changed = site.wait_log(mark, "changed the policy", 1)?;
    // After the change: a sweep for the policy before may have ended a moment ago.
    let swept = site.wait_log(changed.after, "swept open connections", 1)?;
    Ok(milliseconds(swept.at.saturating_duration_since(changed.at)))
}

fn walk_twice(iterator: &mut BareIterator, site: &Site) -> Result<[f64; 2]> {
    let mut walk = || iterator.walk(&site.netns).map(milliseconds);
    Ok([walk()?, walk()?])
}

/// In seconds, longer than all of it takes, here and in the bare iterator. A connection that is idle for longer than a new
/// idle time is probed at once; 100,000 probes are more than the queue of loopback takes (`net.core.netdev_max_backlog`,
/// 1000), and after as many lost ones as there are probes the kernel ends the connection.
const IDLE: u32 = 3600;

fn write_policy(site: &Site, changes: u32) -> Result<()> {
    let idle = IDLE + changes % 1000;
    let text = format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: app}}\nspec:\n  \
         cgroups: [app]\n  keepalive: {{idle: {idle}s, interval: 15s, probes: 4}}\n"
    );
    site.write_policy("app", Some(&text))
}
