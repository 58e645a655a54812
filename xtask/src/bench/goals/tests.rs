use super::*;
use crate::bench::statistics::Estimate;

fn figure(quantity: Quantity, value: f64, low: f64, high: f64) -> Figure {
    Figure { quantity, name: "it", estimate: Estimate { value, low, high }, unit: Unit::Times }
}

fn verdict_of(what: &str, figures: &[Figure]) -> Verdict {
    let reached = judge(figures, &BTreeMap::new());
    reached
        .into_iter()
        .find(|reached| reached.what.starts_with(what))
        .map_or_else(|| Verdict::NotMeasured("there is no such goal".to_owned()), |reached| reached.verdict)
}

#[test]
fn what_is_within_its_limit_is_met_and_what_is_not_is_missed() {
    let of = |value| verdict_of("with 64", &[figure(Quantity::ProgramTimeWithRules, value, value, value)]);

    assert_eq!(of(1.3), Verdict::Met);
    assert_eq!(of(1.31), Verdict::Missed);
}

#[test]
fn one_of_several_that_is_missed_is_enough() {
    let slow = figure(Quantity::Govern, 0.3, 0.3, 0.3);
    let cheap = figure(Quantity::GovernAgainstBare, 2.0, 2.0, 2.0);
    let quick = figure(Quantity::Govern, 0.1, 0.1, 0.1);

    assert_eq!(verdict_of("govern", &[slow.clone(), cheap.clone()]), Verdict::Missed);
    assert_eq!(verdict_of("govern", &[slow]), Verdict::Missed);
    assert_eq!(verdict_of("govern", &[quick, cheap]), Verdict::Met);
}

#[test]
fn a_goal_of_which_a_part_was_not_measured_is_not_met() {
    let cheap = figure(Quantity::GovernAgainstBare, 2.0, 2.0, 2.0);
    let missing = BTreeMap::from([(Quantity::Govern, "the daemon did not start".to_owned())]);

    let reached = judge(&[cheap], &missing);

    let verdicts: Vec<_> = reached.iter().map(|reached| &reached.verdict).collect();
    assert!(verdicts.contains(&&Verdict::NotMeasured("the daemon did not start".to_owned())), "{verdicts:?}");
    assert!(!verdicts.contains(&&Verdict::Met), "{verdicts:?}");
}

#[test]
fn the_time_in_the_program_is_judged_by_what_the_kernel_can_do() {
    let blind = figure(Quantity::ProgramTimeBlind, 1.2, 1.2, 1.2);
    let reading = figure(Quantity::ProgramTimeReading, 1.2, 1.2, 1.2);

    assert_eq!(verdict_of("program time", &[blind]), Verdict::Missed);
    assert_eq!(verdict_of("program time", &[reading]), Verdict::Met);
    assert!(matches!(verdict_of("program time", &[]), Verdict::NotMeasured(_)));
}

#[test]
fn what_is_only_told_is_neither_judged_nor_missed() {
    let counted = figure(Quantity::ProgramTimeNet, 9.0, 9.0, 9.0);
    let reading = figure(Quantity::ProgramTimeReading, 1.2, 1.2, 1.2);

    assert_eq!(verdict_of("program time", &[counted.clone(), reading]), Verdict::Met);
    assert!(matches!(verdict_of("program time", &[counted]), Verdict::NotMeasured(_)));
}

#[test]
fn noise_is_told_from_a_difference() {
    let of = |low, high| {
        let one = figure(Quantity::Throughput, 1.0, 0.999, 1.001);
        verdict_of("data path", &[figure(Quantity::Latency, f64::midpoint(low, high), low, high), one])
    };

    assert_eq!(of(0.995, 1.01), Verdict::Met);
    assert_eq!(of(1.0004, 1.003), Verdict::Met);
    assert_eq!(of(1.002, 1.003), Verdict::Missed);
    assert_eq!(of(0.99, 0.9994), Verdict::Missed);
    assert!(matches!(of(0.97, 1.02), Verdict::NotMeasured(reason) if reason.contains("5.0 % wide")));
}
