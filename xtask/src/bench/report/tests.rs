use super::*;
use crate::bench::{
    findings::Findings,
    goals::{Figure, Quantity, Unit},
    part::Part,
};

fn machine() -> Machine {
    Machine {
        processor: "Some CPU".to_owned(),
        cores: 2,
        kernel: "6.18.44".to_owned(),
        date: "2026-11-21".to_owned(),
    }
}

fn outcome(part: Part, findings: Findings, failure: Option<&str>) -> Outcome {
    Outcome { part, seconds: 1.0, findings, failure: failure.map(str::to_owned) }
}

fn report(parts: Vec<Outcome>) -> Report {
    Report::new(machine(), false, Duration::from_secs(12), parts)
}

#[test]
fn people_read_medians_ratios_growth_and_goals() {
    let mut table = Table::new("short connections", "ns");
    table.add_against("ours", &[1030.0, 1040.0], &[("nothing attached", &[1000.0, 1000.0])]);
    table.note("by CPU time");
    let rules = Growth::new("look-up", "rules", 0.0, vec![(1.0, 50.0), (64.0, 50.0)]);
    let with_rules = Figure {
        quantity: Quantity::ProgramTimeWithRules,
        name: "",
        estimate: Estimate { value: 1.2, low: 1.1, high: 1.25 },
        unit: Unit::Times,
    };
    let findings = Findings {
        tables: vec![table],
        growths: vec![rules],
        figures: vec![with_rules],
        missing: Vec::new(),
    };

    let text = report(vec![outcome(Part::Connections, findings, None)]).to_string();

    for expected in [
        "Some CPU, 2 cores, Linux 6.18.44, 2026-11-21",
        "AGAINST NOTHING ATTACHED",
        "1.035 (1.030–1.040)",
        "  by CPU time",
        "1.200 × (1.100–1.250)",
        "not measured: its part was not run",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    let growth = text.lines().find(|line| line.starts_with("look-up")).unwrap_or_default();
    assert!(growth.ends_with("0.00      0       met"), "{growth}");
}

#[test]
fn why_a_part_failed_is_told_for_each_of_its_goals() {
    let report = report(vec![outcome(Part::Daemon, Findings::default(), Some("no space left"))]);

    let table = report.goals_for_document();
    assert_eq!(table.matches("not measured: its part failed").count(), 2, "{table}");
    assert_eq!(report.failures().collect::<Vec<_>>(), [("daemon", "no space left")]);
}

#[test]
fn a_document_gets_a_line_for_each_goal() {
    let table = report(Vec::new()).goals_for_document();

    assert_eq!(table.lines().count(), 2 + 10, "{table}");
    assert!(table.lines().all(|line| line.matches('|').count() == 5), "{table}");
}
