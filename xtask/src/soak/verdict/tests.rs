//! What grows is told from what only moves.

use super::*;

const BOUND: Bound = Bound { part: 0.0, more: 10.0 };

/// A value every second, for ten minutes.
fn verdict(bound: Bound, value: impl Fn(f64) -> f64) -> Verdict {
    let points: Vec<_> = (0..600).map(|at| (f64::from(at), value(f64::from(at)))).collect();
    judge("it", "", bound, &points).verdict
}

/// Noise between -1 and 1 that is the same each time.
fn noise(at: f64) -> f64 {
    (at * 12.9898).sin()
}

#[test]
fn what_stays_is_flat_however_it_trembles() {
    assert_eq!(verdict(BOUND, |_| 100.0), Verdict::Flat);
    assert_eq!(verdict(BOUND, |at| 100.0 + 50.0 * noise(at)), Verdict::Flat);
}

#[test]
fn what_grows_by_more_than_it_may_is_growing() {
    assert_eq!(verdict(BOUND, |at| 100.0 + 20.0 * at / 600.0 + 5.0 * noise(at)), Verdict::Growing);
    assert_eq!(verdict(BOUND, |at| 100.0 + 10.0 * at / 600.0), Verdict::Flat);
}

#[test]
fn what_shrinks_is_not_growing() {
    assert_eq!(verdict(BOUND, |at| 100.0 - at), Verdict::Flat);
}

#[test]
fn a_step_that_stays_is_growth_and_a_peak_is_not() {
    assert_eq!(verdict(BOUND, |at| if at < 300.0 { 100.0 } else { 120.0 }), Verdict::Growing);
    assert_eq!(verdict(BOUND, |at| if (590.0..595.0).contains(&at) { 5000.0 } else { 100.0 }), Verdict::Flat);
}

#[test]
fn what_warms_up_in_the_first_tenth_is_flat() {
    assert_eq!(verdict(BOUND, |at| 100.0 + at.min(55.0)), Verdict::Flat);
}

#[test]
fn what_the_first_half_minute_brings_is_not_judged() {
    let points: Vec<_> = (0_i32..60).map(|at| (f64::from(at), 100.0 * f64::from(at.min(29)))).collect();

    assert_eq!(judge("it", "", BOUND, &points).verdict, Verdict::Flat);
}

#[test]
fn a_part_of_what_it_was_can_be_allowed() {
    let half = Bound { part: 0.5, more: 0.0 };

    assert_eq!(verdict(half, |at| 100.0 + 50.0 * at / 600.0), Verdict::Flat);
    assert_eq!(verdict(half, |at| 100.0 + 90.0 * at / 600.0), Verdict::Growing);
}

#[test]
fn of_a_few_values_nothing_is_said() {
    for count in 0..ENOUGH {
        let points: Vec<_> =
            (30_u32..).take(count).map(|at| (f64::from(at), 100.0 * f64::from(at))).collect();

        assert_eq!(judge("it", "", BOUND, &points).verdict, Verdict::TooShort, "{count}");
    }
}

#[test]
fn the_slope_is_that_of_the_line() {
    let points: Vec<_> = (0..10).map(|at| (f64::from(at), 3.0 + 0.5 * f64::from(at))).collect();

    assert!((slope(&points) - 0.5).abs() < 1e-9);
    assert!((judge("it", "", BOUND, &points).slope_per_hour - 1800.0).abs() < 1e-6);
}

#[test]
fn every_measure_is_judged_by_its_own_value() {
    let samples: Vec<_> =
        (0..100).map(|at| Sample { at_s: f64::from(at), pins: f64::from(at), ..Sample::default() }).collect();

    let growing: Vec<_> = MEASURES
        .iter()
        .map(|measure| measure.trend(&samples))
        .filter(|trend| trend.verdict == Verdict::Growing)
        .map(|trend| trend.name)
        .collect();

    assert_eq!(growing, ["pins"]);
}
