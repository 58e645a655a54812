//! Many cgroups: how long it takes to govern them all, to change their policy, to take them over after a restart and to
//! let go of them, against a bare loop of the calls that it takes.

mod lot;

use std::time::Instant;

use anyhow::Result;

use self::lot::{Bare, Lot, Ours};
pub(super) use self::lot::{bare_loop, layout, milliseconds};
use super::{
    Bench,
    findings::{Findings, Growth, Table},
    goals::{Figure, Quantity, Unit},
    statistics::{Estimate, at},
};

/// That of which the goals speak.
const GOAL: u32 = 1000;

/// How many cgroups, each with its part of the time in percent.
const SIZES: [(u32, u32); 4] = [(1, 10), (100, 15), (GOAL, 35), (10_000, 40)];
const QUICK_SIZES: [(u32, u32); 3] = [(1, 15), (100, 25), (GOAL, 60)];

/// More rounds make nothing surer.
const ROUNDS: usize = 25;

/// What is done with all cgroups, by what it takes the daemon and what it takes the bare loop, in milliseconds.
struct Deed {
    title: &'static str,
    grows: &'static str,
    /// Told what a start with nothing to govern takes.
    ours: fn(&Ours, f64) -> f64,
    bare: fn(&Bare) -> f64,
    quantity: Option<Quantity>,
}

const DEEDS: [Deed; 4] = [
    Deed {
        title: "govern all, from a cold start to ready",
        grows: "govern all",
        ours: |ours, start| ours.govern - start,
        bare: |bare| bare.govern,
        quantity: Some(Quantity::GovernAgainstBare),
    },
    Deed {
        title: "change the policy that governs all",
        grows: "change the policy of all",
        ours: |ours, _| ours.change,
        bare: |bare| bare.change,
        quantity: Some(Quantity::ChangeAgainstBare),
    },
    Deed {
        title: "take all over after a restart",
        grows: "take all over",
        ours: |ours, start| ours.adopt - start,
        bare: |bare| bare.adopt,
        quantity: None,
    },
    Deed {
        title: "let go of all with `cleanup`",
        grows: "let go of all",
        ours: |ours, _| ours.cleanup,
        bare: |bare| bare.release,
        quantity: None,
    },
];

pub(super) fn measure(bench: &Bench, deadline: Instant) -> Result<Findings> {
    let mut lot = Lot::new(bench)?;
    let sizes: &[(u32, u32)] = if bench.quick { &QUICK_SIZES } else { &SIZES };
    let budget = deadline.saturating_duration_since(Instant::now());
    let mut findings = Findings::default();
    let mut tables = DEEDS.map(|deed| Table::new(format!("Cgroups: {}", deed.title), "ms"));
    let mut points = DEEDS.map(|_| Vec::new());
    let mut whole = Table::new("Cgroups: the daemon's start to ready, as a whole", "ms");
    for (size, percent) in sizes {
        let until = Instant::now() + budget * *percent / 100;
        lot.grow_to(*size)?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        bench.rounds(&format!("{size} cgroups"), 2, ROUNDS, until.min(deadline), |thing| {
            match thing {
                0 => ours.push(lot.ours()?),
                _ => bare.push(lot.bare()?),
            }
            Ok(())
        })?;
        let starts: Vec<f64> = bare.iter().map(|bare| bare.start).collect();
        let start = at(&starts, 0.5).unwrap_or_default();
        for ((deed, table), points) in DEEDS.iter().zip(&mut tables).zip(&mut points) {
            let pairs: Vec<_> =
                ours.iter().zip(&bare).map(|(o, b)| ((deed.ours)(o, start), (deed.bare)(b))).collect();
            let (ours, bare): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
            table.add_against(format!("{size} cgroups"), &ours, &[("bare loop", &bare)]);
            table.add(format!("{size} cgroups, bare loop"), &bare);
            // Of fewer, the time for the rest is more than for these.
            if *size >= 100 {
                points.extend(Estimate::of_median(&ours).map(|median| (f64::from(*size), median.value)));
            }
            if *size == GOAL
                && let (Some(quantity), Some(estimate)) = (deed.quantity, Estimate::of_ratio(pairs))
            {
                findings.figures.push(Figure { quantity, name: "against bare", estimate, unit: Unit::Times });
            }
        }
        let cold: Vec<f64> = ours.iter().map(|ours| ours.govern).collect();
        let again: Vec<f64> = ours.iter().map(|ours| ours.adopt).collect();
        if *size == 1 {
            whole.add("nothing to govern", &starts);
        }
        whole.add(format!("{size} cgroups to govern"), &cold);
        whole.add(format!("{size} cgroups to take over"), &again);
        if *size == GOAL {
            let seconds: Vec<f64> = cold.iter().map(|milliseconds| milliseconds / 1000.0).collect();
            let estimate = Estimate::of_median(&seconds);
            let quantity = Quantity::Govern;
            findings.figures.extend(estimate.map(|estimate| Figure {
                quantity,
                name: "in all",
                estimate,
                unit: Unit::Seconds,
            }));
        }
    }
    tell(&mut tables);
    for (deed, points) in DEEDS.iter().zip(points) {
        findings.growths.push(Growth::new(deed.grows, "cgroups", 1.0, points));
    }
    findings.tables.extend(tables);
    findings.tables.push(whole);
    Ok(findings)
}

/// What a reader has to know of each.
fn tell(tables: &mut [Table; 4]) {
    let [govern, change, adopt, release] = tables;
    for table in [&mut *govern, &mut *adopt] {
        table.note(
            "without what the daemon takes to start with nothing to govern, in which it loads its program; the bare loop \
             uses the same program and loads none",
        );
    }
    govern.note("bare: open the cgroup, link, pin, write the policy, close both");
    change.note("from the change of the file to the last write told in the log, without the 50 ms for which the file has to rest");
    change.note("bare: write the policy");
    adopt.note("bare: open the pin, ask whose link it is, read the policy, close");
    release.note(
        "with the start of the program; bare: open the pin, clear the policy, detach, close, remove the pin",
    );
}
