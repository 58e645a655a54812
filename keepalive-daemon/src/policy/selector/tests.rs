#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use super::*;

fn labels(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn values(of: &[&str]) -> Vec<String> {
    of.iter().map(|value| (*value).to_owned()).collect()
}

fn selector(requirements: &[(&str, Operator)]) -> LabelSelector {
    let requirements = requirements.iter().cloned();
    let requirement = |(key, operator): (&str, Operator)| Requirement { key: key.to_owned(), operator };
    LabelSelector { requirements: requirements.map(requirement).collect() }
}

#[test]
fn each_operator_is_met_as_kubernetes_has_it() {
    let web = [("app", "web")];
    let none = [("tier", "front")];
    let one = || values(&["web"]);
    let two = || values(&["api", "web"]);
    for (operator, given, expected) in [
        (Operator::In(one()), &web, Ok(())),
        (Operator::In(two()), &web, Ok(())),
        (Operator::In(values(&["db"])), &web, Err("label app is `web`, not `db`")),
        (Operator::In(values(&["db", "api"])), &web, Err("label app is `web`, not one of `db`, `api`")),
        (Operator::In(one()), &none, Err("it has no label app, which must be `web`")),
        (Operator::In(two()), &none, Err("it has no label app, which must be one of `api`, `web`")),
        (Operator::In(values(&[""])), &none, Err("it has no label app, which must be ``")),
        (Operator::NotIn(two()), &web, Err("label app is `web`, which is ruled out")),
        (Operator::NotIn(values(&["db"])), &web, Ok(())),
        (Operator::NotIn(two()), &none, Ok(())),
        (Operator::Exists, &web, Ok(())),
        (Operator::Exists, &none, Err("it has no label app")),
        (Operator::DoesNotExist, &none, Ok(())),
        (Operator::DoesNotExist, &web, Err("label app is `web`, which is ruled out")),
    ] {
        let selector = selector(&[("app", operator.clone())]);

        let checked = selector.check(&labels(given));

        assert_eq!(checked, expected.map_err(str::to_owned), "{operator:?} {given:?}");
        assert_eq!(selector.selects(&labels(given)), expected.is_ok(), "{operator:?} {given:?}");
    }
}

#[test]
fn every_requirement_must_be_met_and_the_first_that_is_not_is_told() {
    let selector = selector(&[
        ("app", Operator::In(values(&["web"]))),
        ("tier", Operator::Exists),
        ("canary", Operator::DoesNotExist),
    ]);

    assert_eq!(selector.check(&labels(&[("app", "web"), ("tier", "front")])), Ok(()));
    assert_eq!(selector.check(&labels(&[("app", "web")])), Err("it has no label tier".to_owned()));
    assert_eq!(
        selector.check(&labels(&[("app", "db"), ("canary", "x")])),
        Err("label app is `db`, not `web`".to_owned())
    );
}

#[test]
fn an_empty_selector_selects_every_pod() {
    assert_eq!(LabelSelector::default().check(&labels(&[])), Ok(()));
    assert_eq!(LabelSelector::default().check(&labels(&[("app", "web")])), Ok(()));
}

#[test]
fn a_reason_is_short_and_safe_to_print_whatever_the_label_says() {
    let hostile = "\u{1b}[31m".to_owned() + &"x".repeat(1 << 20);
    let many: Vec<_> = (0..100).map(|i| format!("value-{i}")).collect();

    let reason = selector(&[("app", Operator::In(many))]).check(&labels(&[("app", &hostile)])).unwrap_err();

    assert!(reason.len() < 200, "{} bytes", reason.len());
    assert!(!reason.contains('\u{1b}'), "{reason}");
    assert!(reason.ends_with("…`, not one of `value-0`, `value-1`, `value-2`, …"), "{reason}");
}
