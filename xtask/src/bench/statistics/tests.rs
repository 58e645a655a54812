#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn quartiles_lie_between_values() {
    let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();

    let expected = Spread { least: 1.0, first_quartile: 1.75, median: 2.5, third_quartile: 3.25, most: 4.0 };
    assert_eq!(spread, expected);
    assert_eq!(Spread::of(&[]), None);
}

#[test]
fn the_bounds_of_a_median_are_those_of_the_tables() {
    // From tables of the sign test: how many values are outside on each side, for 95 %.
    for (count, outside) in [(1, 0), (5, 0), (6, 0), (9, 1), (10, 1), (15, 3), (20, 5), (50, 17), (100, 39)] {
        assert_eq!(values_outside(count), outside, "{count}");
    }
}

#[test]
fn the_bounds_of_very_many_values_are_where_those_of_many_lead() {
    let part = |count: usize| {
        f64::from(u32::try_from(values_outside(count)).unwrap()) / f64::from(u32::try_from(count).unwrap())
    };

    assert!((part(1000) - 0.468).abs() < 0.002, "{}", part(1000));
    assert!((part(4000) - 0.484).abs() < 0.002, "{}", part(4000));
}

#[test]
fn what_made_both_of_a_pair_slow_does_not_count() {
    let pairs = (1..=20).map(|round| (f64::from(round) * 1.1, f64::from(round)));

    let ratio = Estimate::of_ratio(pairs).unwrap();

    assert!((ratio.value - 1.1).abs() < 1e-9 && ratio.width() < 1e-9, "{ratio:?}");
}

#[test]
fn a_pair_without_its_base_is_left_out() {
    assert_eq!(Estimate::of_ratio([(1.0, 0.0)]), None);
    assert_eq!(Estimate::of_ratio([(1.0, 0.0), (3.0, 2.0)]), Some(Estimate::exactly(1.5)));
}

#[test]
fn the_exponent_of_a_power_is_found() {
    let sizes = [1.0, 100.0, 1000.0, 10_000.0];
    for power in [0.0, 0.5, 1.0, 2.0] {
        let points = sizes.map(|size: f64| (size, 3.0 * size.powf(power)));

        assert!((exponent(&points).unwrap() - power).abs() < 1e-9, "{power}");
    }
}

#[test]
fn one_size_has_no_exponent() {
    assert_eq!(exponent(&[(10.0, 1.0), (10.0, 2.0)]), None);
    assert_eq!(exponent(&[(0.0, 1.0), (10.0, 2.0)]), None);
}

#[test]
fn a_percentile_lies_where_it_should() {
    let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();

    assert_eq!(at(&values, 0.99), Some(99.0));
    assert_eq!(at(&[], 0.99), None);
}
