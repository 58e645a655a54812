#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

fn globs(texts: &[&str]) -> NamespaceGlobs {
    NamespaceGlobs::new(texts.iter().map(|text| NamespaceGlob::parse(text).unwrap()).collect()).unwrap()
}

#[test]
fn a_glob_matches_whole_names() {
    for (glob, name, expected) in [
        ("payments", "payments", true),
        ("payments", "payments-dev", false),
        ("payments", "my-payments", false),
        ("*", "payments", true),
        ("**", "payments", true),
        ("team-*", "team-a", true),
        ("team-*", "team-", true),
        ("team-*", "team", false),
        ("*-dev", "team-a-dev", true),
        ("*-dev", "dev", false),
        ("te?m", "team", true),
        ("te?m", "tem", false),
        ("team-[a-c]", "team-b", true),
        ("team-[!a-c]", "team-b", false),
        ("team-[^a-c]", "team-d", true),
        ("{dev,team-*}", "team-a", true),
        ("{dev,team-*}", "dev", true),
        ("{dev,team-*}", "prod", false),
        ("team{,-dev}", "team", true),
        ("team{,-dev}", "team-dev", true),
        ("[0-9]*", "2048-game", true),
    ] {
        assert_eq!(globs(&[glob]).matches(name), expected, "{glob} {name}");
    }
}

#[test]
fn one_glob_of_several_is_enough_and_none_matches_nothing() {
    let several = globs(&["dev", "team-*"]);

    assert_eq!(["dev", "team-a", "prod"].map(|name| several.matches(name)), [true, true, false]);
    assert!(!NamespaceGlobs::default().matches("dev"));
    assert_eq!(several.iter().map(NamespaceGlob::as_str).collect::<Vec<_>>(), ["dev", "team-*"]);
    assert_eq!((several.len(), several.is_empty()), (2, false));
}

#[test]
fn lists_of_the_same_globs_are_equal() {
    assert_eq!(globs(&["a", "b*"]), globs(&["a", "b*"]));
    assert_ne!(globs(&["a", "b*"]), globs(&["a", "b"]));
}

#[test]
fn what_could_match_no_namespace_is_refused_with_a_cure() {
    for glob in [
        "Payments", "team_a", "team/a", "a.b", "a,b", "[a,b]", "!dev", "^dev", "-dev", "dev-", r"team\*",
        "ä", "a b", "a\0", "[A-Z]*",
    ] {
        let fault = NamespaceGlob::parse(glob).unwrap_err();
        assert_eq!(fault.message, format!("{} matches no namespace", quote(glob)));
        assert!(fault.help.starts_with("the name of a namespace is of lower-case letters"), "{fault}");
    }
}

#[test]
fn globs_beyond_all_measure_are_refused_with_a_cure() {
    let long = "a".repeat(LONGEST + 1);
    let braces = "{a,".repeat(MOST_ALTERNATIONS + 1);
    for (glob, message, help) in [
        ("", "`` is empty", "write a name, a glob such as `team-*`, or `*`"),
        (
            &long,
            &*format!("`{}…` is 257 bytes long", "a".repeat(60)),
            "a glob on namespaces has at most 256; list several",
        ),
        (
            &braces,
            "`{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,{a,` has more than 16 `{`",
            "list several globs instead",
        ),
    ] {
        let fault = NamespaceGlob::parse(glob).unwrap_err();
        assert_eq!((fault.message.as_str(), fault.help.as_str()), (message, help), "{glob}");
    }
}

#[test]
fn what_is_not_a_glob_is_refused_with_a_cure() {
    for glob in ["a[b", "a{b", "a}", "[z-a]", "[]", "[!]", "["] {
        let fault = NamespaceGlob::parse(glob).unwrap_err();
        assert!(fault.message.starts_with(&format!("`{glob}` is not a glob: ")), "{fault}");
        assert!(fault.help.starts_with("close every `[` and `{`"), "{fault}");
    }
}
