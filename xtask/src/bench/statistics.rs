//! What numbers that tremble come to: medians, how sure they are, and how what is measured grows.

use serde::Serialize;

/// How many of all values are within a quartile.
const QUARTER: f64 = 0.25;

/// How often an interval may miss what it is for, on each side.
const MISSED: f64 = 0.025;

/// Several values of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) first_quartile: f64,
    pub(super) median: f64,
    pub(super) third_quartile: f64,
    pub(super) most: f64,
}

impl Spread {
    /// Nothing of no values.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self {
            least: *sorted.first()?,
            first_quartile: quantile(&sorted, QUARTER)?,
            median: quantile(&sorted, 0.5)?,
            third_quartile: quantile(&sorted, 1.0 - QUARTER)?,
            most: *sorted.last()?,
        })
    }
}

/// A value, and between which bounds it is in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Estimate {
    /// A value that is known.
    pub(super) const fn exactly(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// The median, with bounds that are values themselves, so that nothing need be known of how they are spread; of fewer
    /// than six, all of them.
    pub(super) fn of_median(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let below = values_outside(sorted.len());
        Some(Self {
            value: quantile(&sorted, 0.5)?,
            low: *sorted.get(below)?,
            high: *sorted.get(sorted.len() - 1 - below)?,
        })
    }

    /// How many times the second of each pair the first is. Pairs were measured one after the other, so that what made one
    /// slow made the other slow.
    pub(super) fn of_ratio(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let ratios = pairs.into_iter().filter(|(_, base)| *base > 0.0).map(|(value, base)| value / base);
        Self::of_median(&ratios.collect::<Vec<_>>())
    }

    pub(super) const fn width(&self) -> f64 {
        self.high - self.low
    }
}

/// The value that so many of all do not exceed, between 0 and 1; in between two, as far between them.
pub(super) fn at(values: &[f64], part: f64) -> Option<f64> {
    quantile(&sorted(values), part)
}

/// The exponent of the power of its size by which something grows: 0 if it does not, 1 if as much as its size. That of the
/// line with the least squares through the logarithms; nothing unless there are two sizes.
pub(super) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logarithms: Vec<(f64, f64)> = points
        .iter()
        .filter(|(size, value)| *size > 0.0 && *value > 0.0)
        .map(|(size, value)| (size.ln(), value.ln()))
        .collect();
    let (mut count, mut size, mut value) = (0.0, 0.0, 0.0);
    for (x, y) in &logarithms {
        count += 1.0;
        size += x;
        value += y;
    }
    let (mean_size, mean_value) = (size / count, value / count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, y) in &logarithms {
        covariance += (x - mean_size) * (y - mean_value);
        variance += (x - mean_size).powi(2);
    }
    (variance > 0.0).then(|| covariance / variance)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "there are not 2⁵² values, and the part is none below 0"
)]
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * (sorted.len().checked_sub(1)?) as f64;
    let (low, high) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(low + (high - low) * place.fract())
}

/// How many of so many values, the least and likewise the greatest, may be left outside so that the median of what they
/// are a sample of is within the rest: each is as likely below it as above, as a coin falls.
#[expect(clippy::cast_precision_loss, reason = "there are not 2⁵² values")]
fn values_outside(count: usize) -> usize {
    let mut probability = (-(count as f64) * 2.0_f64.ln()).exp();
    let (mut outside, mut missed) = (0, 0.0);
    // A thousand coins never all fall alike: the probability of that is no number here, and not needed.
    if probability == 0.0 {
        let deviation = (count as f64).sqrt() / 2.0;
        return whole(1.96f64.mul_add(-deviation, count as f64 / 2.0));
    }
    while missed + probability <= MISSED && outside < count {
        missed += probability;
        outside += 1;
        probability *= (count - outside + 1) as f64 / outside as f64;
    }
    // Bounds are the values themselves, so that one more is within.
    outside.saturating_sub(1).min(count.saturating_sub(1) / 2)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a number of values")]
const fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests;
