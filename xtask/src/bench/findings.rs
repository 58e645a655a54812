//! What a part finds: tables, how it grows, and figures for the goals.

use serde::Serialize;

use super::{
    goals::Figure,
    statistics::{Estimate, Spread, exponent},
};

/// All that a part finds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Findings {
    pub(super) tables: Vec<Table>,
    pub(super) growths: Vec<Growth>,
    pub(super) figures: Vec<Figure>,
    /// What of the goals' quantities could not be measured, each with the reason.
    #[serde(skip)]
    pub(super) missing: Vec<(super::goals::Quantity, String)>,
}

impl Findings {
    /// What was found besides.
    pub(super) fn add(&mut self, more: Self) {
        let Self { tables, growths, figures, missing } = more;
        self.tables.extend(tables);
        self.growths.extend(growths);
        self.figures.extend(figures);
        self.missing.extend(missing);
    }
}

/// One kind of number, of several things.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    pub(super) title: String,
    /// Of the numbers.
    pub(super) unit: &'static str,
    pub(super) rows: Vec<Row>,
    /// What a reader has to know of it.
    pub(super) notes: Vec<String>,
}

/// A thing, and its numbers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) spread: Spread,
    /// How many times something else it is.
    pub(super) against: Vec<Against>,
    /// All of them, in the order in which they were measured.
    pub(super) values: Vec<f64>,
}

/// How many times something else a thing is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Against {
    pub(super) base: &'static str,
    #[serde(flatten)]
    pub(super) ratio: Estimate,
}

impl Table {
    pub(super) fn new(title: impl Into<String>, unit: &'static str) -> Self {
        Self { title: title.into(), unit, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a thing; without values it is left out.
    pub(super) fn add(&mut self, what: impl Into<String>, values: &[f64]) {
        self.add_against(what, values, &[]);
    }

    /// Adds a thing that is compared with others, of which the values were measured in the same rounds.
    pub(super) fn add_against(
        &mut self,
        what: impl Into<String>,
        values: &[f64],
        bases: &[(&'static str, &[f64])],
    ) {
        let Some(spread) = Spread::of(values) else { return };
        let against = bases.iter().filter_map(|(base, others)| {
            let pairs = values.iter().copied().zip(others.iter().copied());
            Some(Against { base, ratio: Estimate::of_ratio(pairs)? })
        });
        self.rows.push(Row {
            what: what.into(),
            spread,
            against: against.collect(),
            values: values.to_vec(),
        });
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// How something grows with something else.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Growth {
    pub(super) what: &'static str,
    /// With what: `cgroups`, `connections`.
    pub(super) with: &'static str,
    /// Sizes, each with the time or the like.
    pub(super) points: Vec<(f64, f64)>,
    pub(super) exponent: Option<f64>,
    /// What the exponent may be: 0 for what must not grow, 1 for what may grow as much as its size.
    pub(super) may_be: f64,
}

impl Growth {
    /// What noise and caches that overflow may add to an exponent.
    const TOLERANCE: f64 = 0.15;

    pub(super) fn new(what: &'static str, with: &'static str, may_be: f64, points: Vec<(f64, f64)>) -> Self {
        let exponent = exponent(&points);
        Self { what, with, points, exponent, may_be }
    }

    /// Whether it grows no more than it may, if that can be told.
    pub(super) fn is_met(&self) -> Option<bool> {
        self.exponent.map(|exponent| exponent <= self.may_be + Self::TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_compared_within_each_round() {
        let mut table = Table::new("t", "ns");

        table.add_against("ours", &[2.0, 4.0, 8.0], &[("nothing", &[1.0, 2.0, 4.0])]);

        assert_eq!(table.rows[0].spread.median.to_bits(), 4.0_f64.to_bits());
        assert_eq!(table.rows[0].against[0].ratio, Estimate::exactly(2.0));
    }

    #[test]
    fn a_thing_without_values_is_left_out() {
        let mut table = Table::new("t", "ns");

        table.add("ours", &[]);

        assert!(table.rows.is_empty());
    }

    #[test]
    fn growing_with_the_square_is_too_much() {
        let points = |power| [10.0, 100.0, 1000.0].map(|size: f64| (size, size.powf(power))).to_vec();

        assert_eq!(Growth::new("time", "cgroups", 1.0, points(1.0)).is_met(), Some(true));
        assert_eq!(Growth::new("time", "cgroups", 1.0, points(2.0)).is_met(), Some(false));
        assert_eq!(Growth::new("time", "rules", 0.0, points(0.5)).is_met(), Some(false));
        assert_eq!(Growth::new("time", "rules", 0.0, Vec::new()).is_met(), None);
    }
}
