use super::*;

const FILE: &str = "\
middleboxes:
  - id: office-firewall
    profiles: [office]
    name: the firewall of the office
    idleTimeoutSeconds: 3600
    range: by zone
    onExpiry: dropped
    keepAliveHelps: \"yes\"
    source: the firewall's manual
    checked: 2026-01-31
";

fn built_in() -> Catalogue {
    Catalogue::built_in().expect("what is built in can be read")
}

#[test]
fn what_is_built_in_is_complete() {
    let catalogue = built_in();

    assert!(catalogue.entries().len() > 20);
    for entry in catalogue.entries() {
        // Reading refuses empty fields, and ids that are there twice.
        assert!(!entry.profiles.is_empty(), "{}: nobody would find it", entry.id);
        assert!(entry.source.starts_with("https://"), "{}: its source can be looked up", entry.id);
        assert!(entry.name.len() < 80, "{}: its name fits into a sentence", entry.id);
    }
}

#[test]
fn each_cloud_has_something_to_take_for_granted_and_nothing_that_no_probe_helps_against() {
    for (profile, strictest) in [("aws", 350), ("azure", 240), ("gcp", 600), ("ipvs", 900)] {
        let catalogue = built_in();
        let assumed: Vec<_> = catalogue
            .entries()
            .iter()
            .filter(|it| it.assumed && it.profiles.iter().any(|p| p == profile))
            .collect();

        assert!(assumed.iter().all(|it| it.keep_alive_helps == Helps::Yes), "{profile}");
        assert_eq!(assumed.iter().map(|it| it.idle_timeout_seconds).min(), Some(strictest), "{profile}");
    }
}

#[test]
fn a_file_adds_and_replaces() {
    let replaced = FILE.replace("office-firewall", "ipvs");

    let added = built_in().with("mine.yaml", FILE).expect("it is a catalogue");
    let changed = built_in().with("mine.yaml", &replaced).expect("it is a catalogue");

    assert_eq!(added.entries().len(), built_in().entries().len() + 1);
    assert_eq!(changed.entries().len(), built_in().entries().len());
    let ipvs = changed.entries().iter().find(|it| it.id == "ipvs").map(|it| it.idle_timeout_seconds);
    assert_eq!(ipvs, Some(3600));
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_line() {
    for (right, wrong, line, says) in [
        ("range: by zone", "rnage: by zone", "6", "rnage"),
        ("    onExpiry: dropped\n", "", "9", "onExpiry"),
        ("\"yes\"", "sometimes", "8", "sometimes"),
        ("3600", "an hour", "5", "u32"),
        ("3600", "0", "2", "leave out"),
        ("2026-01-31", "2026-02-31", "2", "2026-02-31"),
        ("office-firewall", "office firewall", "2", "small letters"),
        ("[office]", "[auto]", "2", "auto"),
        ("the firewall's manual", "''", "2", "source is empty"),
        ("range: by zone", "range: by zone\n    range: b", "7", "range"),
    ] {
        let text = FILE.replace(right, wrong);
        assert_ne!(text, FILE, "{right}");

        let error = built_in().with("mine.yaml", &text).expect_err(&text).to_string();

        assert!(error.contains("mine.yaml") && error.contains(line) && error.contains(says), "{error}");
    }
}

#[test]
fn an_id_is_not_given_twice() {
    let twice = format!("{FILE}{}", FILE.trim_start_matches("middleboxes:\n"));

    let error = built_in().with("mine.yaml", &twice).expect_err("one id, two entries").to_string();

    assert!(error.contains("mine.yaml:11") && error.contains("twice"), "{error}");
}
