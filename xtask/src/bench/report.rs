//! What a benchmark comes to, for people and for programs.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use serde::Serialize;

use super::{
    findings::{Against, Growth, Row, Table},
    goals::{self, Reached, Verdict},
    machine::Machine,
    part::Outcome,
    statistics::Estimate,
};
use crate::columns::Columns;

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) quick: bool,
    pub(super) seconds: f64,
    pub(super) parts: Vec<Outcome>,
    pub(super) goals: Vec<Reached>,
}

impl Report {
    pub(super) fn new(machine: Machine, quick: bool, took: Duration, parts: Vec<Outcome>) -> Self {
        let figures: Vec<_> = parts.iter().flat_map(|outcome| outcome.findings.figures.clone()).collect();
        let failed = parts.iter().filter(|outcome| outcome.failure.is_some());
        let failed = failed.flat_map(|outcome| outcome.part.quantities());
        let failed = failed.map(|quantity| (*quantity, "its part failed".to_owned()));
        let missing = parts.iter().flat_map(|outcome| outcome.findings.missing.clone());
        let goals = goals::judge(&figures, &failed.chain(missing).collect());
        Self { machine, quick, seconds: took.as_secs_f64(), parts, goals }
    }

    /// Which parts failed, and why.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.parts.iter().filter_map(|outcome| Some((outcome.part.name(), outcome.failure.as_deref()?)))
    }

    /// The table of the goals, as a document has it.
    pub(super) fn goals_for_document(&self) -> String {
        let rows = self.goals.iter().map(|reached| {
            let Reached { what, goal, .. } = reached;
            format!("| {what} | {goal} | {} | {} |\n", figures(reached), verdict(&reached.verdict))
        });
        format!("| what | goal | figure | verdict |\n|---|---|---|---|\n{}", rows.collect::<String>())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let how = if self.quick { "quick, so less sure, " } else { "" };
        writeln!(f, "{}\n{how}{:.0} s", self.machine, self.seconds)?;
        for outcome in &self.parts {
            for table in &outcome.findings.tables {
                write_table(f, table)?;
            }
            if let Some(failure) = &outcome.failure {
                writeln!(f, "\n{}: not measured: {failure}", outcome.part.name())?;
            }
        }
        let growths: Vec<_> = self.parts.iter().flat_map(|outcome| &outcome.findings.growths).collect();
        if !growths.is_empty() {
            write_growths(f, &growths)?;
        }
        let mut columns = Columns::new(["WHAT", "GOAL", "FIGURE", "VERDICT"]);
        for reached in &self.goals {
            let verdict = verdict(&reached.verdict);
            columns.add([reached.what.to_owned(), reached.goal.to_owned(), figures(reached), verdict]);
        }
        write!(f, "\nGOALS\n{columns}")
    }
}

fn write_table(f: &mut Formatter<'_>, table: &Table) -> fmt::Result {
    writeln!(f, "\n{}", table.title)?;
    let unit = table.unit.to_uppercase();
    let bases: Vec<&str> =
        table.rows.iter().map(|row| row.against.len()).max().map_or_else(Vec::new, |most| {
            let widest = table.rows.iter().find(|row| row.against.len() == most);
            widest.map_or_else(Vec::new, |row| row.against.iter().map(|against| against.base).collect())
        });
    let mut titles = vec![String::new(), format!("MEDIAN ({unit})"), "QUARTILES".to_owned()];
    titles.extend(["MOST".to_owned(), "ROUNDS".to_owned()]);
    titles.extend(bases.iter().map(|base| format!("AGAINST {}", base.to_uppercase())));
    let mut columns = Columns::new(titles);
    for Row { what, spread, against, values } in &table.rows {
        let mut cells = vec![
            what.clone(),
            number(spread.median),
            format!("{}–{}", number(spread.first_quartile), number(spread.third_quartile)),
            number(spread.most),
            values.len().to_string(),
        ];
        cells.extend(bases.iter().map(|base| {
            let found = against.iter().find(|against| against.base == *base);
            found.map_or_else(String::new, |Against { ratio, .. }| times(ratio))
        }));
        columns.add(cells);
    }
    write!(f, "{columns}")?;
    table.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
}

fn write_growths(f: &mut Formatter<'_>, growths: &[&Growth]) -> fmt::Result {
    let mut columns = Columns::new(["HOW IT GROWS", "WITH", "SIZES", "EXPONENT", "MAY BE", "VERDICT"]);
    for growth in growths {
        let sizes = growth.points.iter().map(|(size, _)| number(*size)).collect::<Vec<_>>().join(", ");
        let verdict = match growth.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "too few sizes",
        };
        let exponent = growth.exponent.map_or_else(String::new, |exponent| format!("{exponent:.2}"));
        let may_be = format!("{:.0}", growth.may_be);
        columns.add([growth.what, growth.with, &sizes, &exponent, &may_be, verdict].map(str::to_owned));
    }
    write!(f, "\n{columns}")
}

fn figures(reached: &Reached) -> String {
    reached.figures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Met => "met".to_owned(),
        Verdict::Missed => "MISSED".to_owned(),
        Verdict::NotMeasured(reason) => format!("not measured: {reason}"),
    }
}

fn times(Estimate { value, low, high }: &Estimate) -> String {
    format!("{value:.3} ({low:.3}–{high:.3})")
}

/// With three digits or so.
fn number(value: f64) -> String {
    match value.abs() {
        of if of >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        of if of >= 10.0 => format!("{value:.1}"),
        of if of >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests;
