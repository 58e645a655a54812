//! Whether what was measured stays as it is, or grows.

use serde::Serialize;

use super::sample::Sample;

/// The part of a soak before which nothing is judged: caches fill, and the daemon's journal with its last events.
const WARM_UP: f64 = 0.1;

/// How long that is at least, in seconds: programs of the daemon's that are loaded when they are first needed are.
const LEAST_WARM_UP_S: f64 = 30.0;

/// Below so many values nothing is said.
const ENOUGH: usize = 8;

/// Something that is measured, and by how much it may grow from the first quarter to the last.
pub(super) struct Measure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    of: fn(&Sample) -> Option<f64>,
    bound: Bound,
}

/// By how much: a part of what it was, and some more.
#[derive(Clone, Copy)]
struct Bound {
    part: f64,
    more: f64,
}

/// All of them. Why these bounds, the help of the verb says.
pub(super) const MEASURES: [Measure; 16] = [
    measure("memory", "KiB", |sample| Some(sample.resident_kib), 0.0, 4096.0),
    measure("memory, anonymous", "KiB", |sample| Some(sample.anonymous_kib), 0.0, 1024.0),
    measure("descriptors", "", |sample| Some(sample.descriptors), 0.0, 3.0),
    measure("threads", "", |sample| Some(sample.threads), 0.0, 2.0),
    measure("watches", "", |sample| Some(sample.watches), 0.0, 3.0),
    measure("CPU", "%", |sample| Some(sample.cpu_percent), 0.25, 1.0),
    measure("links", "", |sample| Some(sample.links), 0.0, 3.0),
    measure("programs", "", |sample| Some(sample.programs), 0.0, 3.0),
    measure("maps", "", |sample| Some(sample.maps), 0.0, 3.0),
    measure("pins", "", |sample| Some(sample.pins), 0.0, 10.0),
    measure("new cgroup, median", "ms", |sample| sample.new_cgroup_ms, 0.5, 2.0),
    measure("new cgroup, p99", "ms", |sample| sample.new_cgroup_p99_ms, 1.0, 20.0),
    measure("changed policy, median", "ms", |sample| sample.change_ms, 0.5, 5.0),
    measure("sweep, median", "ms", |sample| sample.sweep_ms, 0.5, 20.0),
    measure("health, median", "ms", |sample| sample.health_ms, 0.5, 2.0),
    measure("health, p99", "ms", |sample| sample.health_p99_ms, 1.0, 20.0),
];

const fn measure(
    name: &'static str,
    unit: &'static str,
    of: fn(&Sample) -> Option<f64>,
    part: f64,
    more: f64,
) -> Measure {
    Measure { name, unit, of, bound: Bound { part, more } }
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Verdict {
    Flat,
    Growing,
    /// There are too few values.
    TooShort,
}

/// What became of a measure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trend {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// The median of the first quarter, once it is warm, and of the last.
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) slope_per_hour: f64,
    pub(super) may_grow_by: f64,
    pub(super) verdict: Verdict,
}

impl Measure {
    /// When it was what.
    pub(super) fn points(&self, samples: &[Sample]) -> Vec<(f64, f64)> {
        samples.iter().filter_map(|sample| Some((sample.at_s, (self.of)(sample)?))).collect()
    }

    /// What became of it.
    pub(super) fn trend(&self, samples: &[Sample]) -> Trend {
        judge(self.name, self.unit, self.bound, &self.points(samples))
    }
}

/// It grows if the medians of the quarters say so, and the line through all values as well: one alone is misled by
/// how it begins and ends, the other by a single peak.
fn judge(name: &'static str, unit: &'static str, bound: Bound, points: &[(f64, f64)]) -> Trend {
    let warm = warmed_up(points);
    let quarter = warm.len().div_ceil(4);
    let first = median(&warm[..quarter]);
    let last = median(&warm[warm.len() - quarter..]);
    let slope = slope(warm);
    let may_grow_by = bound.part * first + bound.more;
    let span = match warm {
        [(begin, _), .., (end, _)] => end - begin,
        _ => 0.0,
    };
    // From the middle of the first quarter to the middle of the last.
    let risen = slope * 0.75 * span;
    let verdict = if warm.len() < ENOUGH {
        Verdict::TooShort
    } else if last - first > may_grow_by && risen > may_grow_by {
        Verdict::Growing
    } else {
        Verdict::Flat
    };
    Trend { name, unit, first, last, slope_per_hour: slope * 3600.0, may_grow_by, verdict }
}

fn warmed_up(points: &[(f64, f64)]) -> &[(f64, f64)] {
    let end = points.last().map_or(0.0, |(at, _)| *at);
    let cold = points.iter().take_while(|(at, _)| *at < f64::max(WARM_UP * end, LEAST_WARM_UP_S)).count();
    &points[cold..]
}

fn median(points: &[(f64, f64)]) -> f64 {
    let mut values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 0 => f64::midpoint(values[count / 2 - 1], values[count / 2]),
        count => values[count / 2],
    }
}

/// By how much the line through the points with the least squares rises in a second.
fn slope(points: &[(f64, f64)]) -> f64 {
    let (mut count, mut at, mut value) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        count += 1.0;
        at += x;
        value += y;
    }
    let (mean_at, mean_value) = (at / count, value / count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, y) in points {
        covariance += (x - mean_at) * (y - mean_value);
        variance += (x - mean_at).powi(2);
    }
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

#[cfg(test)]
mod tests;
