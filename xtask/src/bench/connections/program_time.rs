//! The time in the program for each end of a connection, as the kernel counts it.

use std::time::Instant;

use anyhow::Result;

use super::{EMPTY, FLOOR, MODES, Place, RULES, Stage, Variant};
use crate::bench::{
    Bench,
    findings::{Findings, Growth, Table},
    goals::{Figure, Quantity, Unit},
    kernel::{RunTime, count_run_time},
    ours::{Policy, can_read_options},
    statistics::{Estimate, at},
    worker::{ARMED, UNTOUCHED},
};

/// In a round: enough that what a clock cannot tell apart does not matter.
const CONNECTIONS: u32 = 400;

/// More would not make it surer.
const MOST_ROUNDS: usize = 400;

/// What names a ratio of which neither side has what counting takes.
const WITHOUT_COUNTING: &str = "less what counting takes";

/// What the goals speak of.
const JUDGED: [&str; 2] = ["Tighten", "FillMissing"];

pub(super) fn measure(bench: &Bench, stage: &Stage, deadline: Instant) -> Result<Findings> {
    let mut variants =
        vec![stage.foreign(EMPTY, &stage.empty, UNTOUCHED)?, stage.foreign(FLOOR, &stage.floor, ARMED)?];
    for policy in &stage.policies {
        variants.push(stage.ours(*policy)?);
    }
    if let Some(closing) = &stage.ours.closing {
        variants.push(Variant {
            name: "`closing`, while the daemon runs".to_owned(),
            programs: vec![(closing, Place::Tracing)],
            ..stage.foreign("", closing, UNTOUCHED)?
        });
    }
    variants.iter_mut().try_for_each(Variant::check)?;

    let _counting = count_run_time()?;
    let ran = bench.rounds("time in the program", variants.len(), MOST_ROUNDS, deadline, |index| {
        let variant = &mut variants[index];
        let Some(program) = variant.programs.first().map(|(program, _)| *program) else {
            return Ok(RunTime::default());
        };
        let before = program.run_time()?;
        variant.run(CONNECTIONS)?;
        Ok(program.run_time()? - before)
    })?;
    let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    let mut findings = found(&names, &ran);
    let is_reading = can_read_options(bench, &stage.ours.site)?;
    findings.figures.extend(judged(&names, &ran, is_reading));
    Ok(findings)
}

/// Of each end, of each round.
fn per_end(ran: &[RunTime], of: fn(&RunTime) -> u64) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "there are not 2⁵² nanoseconds in a round")]
    ran.iter().map(|ran| of(ran) as f64 / f64::from(2 * CONNECTIONS)).collect()
}

/// Without what the kernel's clocks take themselves, and the way into any program.
fn net(times: &[f64], empty: &[f64]) -> Vec<f64> {
    times.iter().zip(empty).map(|(time, empty)| (time - empty).max(0.0)).collect()
}

fn found(names: &[&str], ran: &[Vec<RunTime>]) -> Findings {
    let times: Vec<_> = ran.iter().map(|ran| per_end(ran, |ran| ran.nanoseconds)).collect();
    let [empty, floor, ..] = times.as_slice() else { return Findings::default() };
    let net_floor = net(floor, empty);
    let mut raw = Table::new("Time in the program for each end of a connection, all its callbacks", "ns");
    let mut less = Table::new("The same without what counting it takes (less the empty program's)", "ns");
    for (name, times) in names.iter().zip(&times) {
        raw.add_against(*name, times, &[(FLOOR, floor)]);
        if *name != EMPTY {
            less.add_against(*name, &net(times, empty), &[(FLOOR, &net_floor)]);
        }
    }
    let runs = ran.get(1).map(|ran| per_end(ran, |ran| ran.runs)).unwrap_or_default();
    raw.note(format!(
        "the kernel calls a program {:.1} times for each end; its own counting is in each call",
        at(&runs, 0.5).unwrap_or_default()
    ));
    let with_rules = RULES.iter().skip(1).filter_map(|rules| {
        let ours = times.get(place(names, MODES[0], *rules)?)?;
        let size = f64::from(u32::try_from(*rules).ok()?);
        Some((size, at(&net(ours, empty), 0.5)?))
    });
    let growth = Growth::new("time in the program", "destination rules", 0.0, with_rules.collect());
    Findings { tables: vec![raw, less], growths: vec![growth], ..Findings::default() }
}

/// What the goals speak of: of the modes, the one that is further off. Judged by the kernel's own
/// statistics, of which the goals speak; told without what counting takes as well, for which no program is to blame, and
/// which makes ratios smaller.
fn judged(names: &[&str], ran: &[Vec<RunTime>], is_reading: bool) -> Vec<Figure> {
    let times: Vec<_> = ran.iter().map(|ran| per_end(ran, |ran| ran.nanoseconds)).collect();
    let [empty, floor, ..] = times.as_slice() else { return Vec::new() };
    let of = |mode: &str, rules: usize| times.get(place(names, mode, rules)?);
    let counted = |ours: &[f64], base: &[f64]| Estimate::of_ratio(pairs(ours, base));
    let less = |ours: &[f64], base: &[f64]| Estimate::of_ratio(pairs(&net(ours, empty), &net(base, empty)));
    let figure = |quantity, name, estimate| Figure { quantity, name, estimate, unit: Unit::Times };

    let quantity = if is_reading { Quantity::ProgramTimeReading } else { Quantity::ProgramTimeBlind };
    let of_modes = JUDGED.iter().filter_map(|mode| {
        let ours = of(mode, 0)?;
        let counted = figure(quantity, mode, counted(ours, floor)?);
        Some((counted, figure(Quantity::ProgramTimeNet, WITHOUT_COUNTING, less(ours, floor)?)))
    });
    let worst = of_modes.max_by(|(one, _), (other, _)| one.estimate.value.total_cmp(&other.estimate.value));
    let with_rules = || {
        let (ours, base) = (of(MODES[0], RULES[2])?, of(MODES[0], RULES[0])?);
        let counted = figure(Quantity::ProgramTimeWithRules, "", counted(ours, base)?);
        Some((counted, figure(Quantity::ProgramTimeWithRulesNet, WITHOUT_COUNTING, less(ours, base)?)))
    };
    worst.into_iter().chain(with_rules()).flat_map(|(counted, net)| [counted, net]).collect()
}

fn pairs(values: &[f64], base: &[f64]) -> Vec<(f64, f64)> {
    values.iter().copied().zip(base.iter().copied()).collect()
}

/// Which of all is ours in a mode.
fn place(names: &[&str], mode: &str, rules: usize) -> Option<usize> {
    let wanted = Policy { mode: MODES.iter().find(|known| **known == mode)?, rules }.name();
    names.iter().position(|name| *name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if each end took so many nanoseconds, in each of four rounds.
    fn ran(ns: u64) -> Vec<RunTime> {
        let nanoseconds = ns * u64::from(2 * CONNECTIONS);
        vec![RunTime { nanoseconds, runs: 4 * u64::from(2 * CONNECTIONS) }; 4]
    }

    const NAMES: [&str; 6] = [
        EMPTY,
        FLOOR,
        "ours, Tighten",
        "ours, FillMissing",
        "ours, Tighten, 1 rule",
        "ours, Tighten, 64 rules",
    ];

    fn all() -> Vec<Vec<RunTime>> {
        [100, 200, 220, 240, 300, 302].map(ran).to_vec()
    }

    #[test]
    fn what_counting_takes_is_taken_off_both_sides_of_a_ratio() {
        let figures = judged(&NAMES, &all(), true);

        let values: Vec<_> =
            figures.iter().map(|figure| (figure.quantity, figure.name, figure.estimate.value)).collect();
        let expected = [
            (Quantity::ProgramTimeReading, "FillMissing", 1.2),
            (Quantity::ProgramTimeNet, WITHOUT_COUNTING, 1.4),
            (Quantity::ProgramTimeWithRules, "", 302.0 / 220.0),
            (Quantity::ProgramTimeWithRulesNet, WITHOUT_COUNTING, 202.0 / 120.0),
        ];
        assert_eq!(values, expected);
        assert_eq!(judged(&NAMES, &all(), false)[0].quantity, Quantity::ProgramTimeBlind);
    }

    #[test]
    fn the_tables_have_every_variant_and_the_growth_those_with_rules() {
        let findings = found(&NAMES, &all());

        let rows: Vec<_> = findings.tables.iter().map(|table| table.rows.len()).collect();
        assert_eq!(rows, [6, 5]);
        assert_eq!(findings.growths[0].points, [(1.0, 200.0), (64.0, 202.0)]);
        assert!(findings.tables[0].notes[0].contains("4.0 times"), "{:?}", findings.tables[0].notes);
    }
}
