//! Alerts and dashboard.

use std::{collections::BTreeSet, env, ffi::OsString, process::Command};

use serde_json::Value;

use crate::{deploy, text};

/// What promtool says of a file of alerts.
fn promtool(arguments: &[&str]) -> String {
    let promtool = env::var_os("KEEPALIVE_PROMTOOL").unwrap_or_else(|| OsString::from("promtool"));
    let mut command = Command::new(&promtool);
    let output = command.args(arguments).current_dir(deploy().join("monitoring")).output();
    let output = output.unwrap_or_else(|error| {
        panic!("cannot run {}: {error}; `cargo xtask setup` fetches it", promtool.display())
    });
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
#[ignore = "needs promtool: cargo xtask test runs it"]
fn alerts_are_valid_and_fire_as_their_tests_say() {
    assert!(promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]).contains("SUCCESS"));
    assert!(promtool(&["test", "rules", "rules.test.yaml"]).contains("SUCCESS"));
}

#[test]
fn each_alert_is_tested_and_says_what_to_do() {
    let rules: Value = serde_saphyr::from_str(&text("monitoring/rules.yaml")).unwrap();
    let tests = text("monitoring/rules.test.yaml");

    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5, "{rules:#?}");
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        // Once where it keeps still, and once where it fires.
        assert!(tests.matches(name).count() >= 2, "{name} is not tested");
        for field in ["summary", "runbook"] {
            assert!(rule["annotations"][field].is_string(), "{name} has no {field}");
        }
    }
}

#[test]
fn the_panels_of_the_dashboard_lie_beside_each_other() {
    let dashboard: Value = serde_json::from_str(&text("monitoring/dashboard.json")).unwrap();

    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        for x in at("x")..at("x") + at("w") {
            assert!(
                x < 24 && (at("y")..at("y") + at("h")).all(|y| taken.insert((x, y))),
                "{}",
                panel["title"]
            );
        }
    }
}
