use super::{accepted, refused, with_line, with_spec};

#[test]
fn what_is_not_yaml_is_shown_with_its_place() {
    let help = "check indentation, brackets and quotes here and in the line above; quote a value with special \
                characters";
    for (text, place, message) in [
        ("a: b: c", "1:5", "mapping values are not allowed in this context"),
        ("a:\n\tb: 1", "2:2", "tabs disallowed within this context (block indentation)"),
        ("a: 1\nb: [1, 2\n", "2:4", "unclosed bracket '['"),
        ("a: 'x", "1:4", "unclosed quote"),
        ("a: @x", "1:4", "unexpected character: `@'"),
        ("a: \0", "1:4", "unexpected character: `\\u{0}'"),
        ("}", "1:1", "misplaced bracket"),
    ] {
        assert_eq!(refused(text), [format!("p.yaml:{place}: this is not YAML: {message}\n  help: {help}")]);
    }
}

#[test]
fn what_yaml_offers_and_policies_do_not_take_is_named() {
    for (text, place, message, help) in [
        (
            "cgroups: [docker/*, *.service]",
            "1:21",
            "this `*` starts a YAML alias, and no anchor has its name",
            "quote a value that starts with `*`, such as `\"*.service\"`",
        ),
        (
            "a: &a {b: 1}\nc:\n  <<: *a\n",
            "3:3",
            "YAML merge keys (`<<`) are not read",
            "write the fields out, or use an alias for a whole value, such as `keepalive: *slow`",
        ),
        ("a: &a [*a]", "1:8", "this YAML alias refers to a value that contains it", "write the value out"),
        (
            "a: !include /etc/shadow",
            "1:13",
            "unsupported tag `!include`",
            "remove the tag; to start a text with `!`, quote it",
        ),
    ] {
        assert_eq!(refused(text), [format!("p.yaml:{place}: {message}\n  help: {help}")]);
    }
}

#[test]
fn a_byte_order_mark_and_carriage_returns_change_nothing() {
    let text = with_line("keepalive: {idle: 7s}").replace('\n', "\r\n");
    let bad = with_line("keepalive: {idle: 7}").replace('\n', "\r\n");

    assert_eq!(accepted(&format!("\u{feff}{text}"))[0].timers.idle_s, 7);
    assert!(refused(&bad)[0].starts_with("p.yaml:6:21: spec.keepalive.idle: "));
    assert!(refused("\u{feff}a: b: c")[0].starts_with("p.yaml:1:5: "));
}

#[test]
fn files_without_content_have_no_policies() {
    for text in ["# only a comment\n", "---\n", "---\n...\n", "~\n", "---\n# a\n---\n"] {
        assert_eq!(accepted(text), [], "{text:?}");
    }
}

#[test]
fn an_empty_file_may_be_half_of_one_and_is_a_mistake() {
    for text in ["", "\n", " \n\t\n", "\u{feff}"] {
        let found = refused(text).concat();
        assert!(found.contains("the file is empty") && found.contains("remove it"), "{text:?}: {found}");
    }
}

#[test]
fn an_alias_stands_for_its_value_and_is_mended_there() {
    let spec =
        |idle| with_spec(&format!("  cgroups: [x]\n  keepalive: {{idle: &slow {idle}, interval: *slow}}\n"));

    let good = accepted(&spec("20s"));
    let bad = refused(&spec("20"));

    assert_eq!((good[0].timers.idle_s, good[0].timers.interval_s), (20, 20));
    assert_eq!(
        bad,
        [
            "p.yaml:6:27: spec.keepalive.idle: `20` has no unit\n  help: write `20s`",
            "p.yaml:6:27: spec.keepalive.interval: `20` has no unit\n  help: write `20s`",
        ]
    );
}

#[test]
fn values_keep_the_type_they_are_written_with() {
    for (name, wrong) in [
        ("yes", None),
        ("0x10", Some("the number `16`")),
        ("true", Some("`true`")),
        ("1e3", Some("the number `1000`")),
        ("~", Some("no value")),
    ] {
        let text = with_line("").replace("name: a", &format!("name: {name}"));
        match wrong {
            None => assert_eq!(accepted(&text)[0].id.name, name),
            Some(wrong) => {
                let shown = refused(&text).concat();
                assert!(shown.contains(wrong), "{name}: {shown}");
            }
        }
    }
}

#[test]
fn a_hostile_file_is_refused_for_what_it_is() {
    const MIB: usize = 1 << 20;
    let bomb = {
        let level =
            |from: char, to: char| format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(", "));
        let levels: String = ('a'..'h').zip('b'..='h').map(|(from, to)| level(from, to)).collect();
        format!("a: &a [{}]\n{levels}", ["x"; 9].join(", "))
    };
    let too_much = "there is too much in this file, or it is nested too deeply\n  help: split it: a file takes \
                    1000 documents, 50000 values with aliases written out, and 16 levels";
    for (what, text) in [
        ("brackets", "[".repeat(MIB)),
        ("braces", "{a: ".repeat(MIB / 4)),
        ("dashes", "- ".repeat(MIB / 2)),
        ("question marks", "? ".repeat(MIB / 2)),
        ("aliases", bomb),
        ("values", "- 1\n".repeat(MIB / 4)),
        ("documents", "---\na: 1\n".repeat(10_000)),
    ] {
        let shown = refused(&text);
        assert_eq!(shown.len(), 1, "{what}");
        assert!(shown[0].ends_with(too_much), "{what}: {}", shown[0]);
    }
    for (what, text) in [
        ("NULs", "\0".repeat(MIB)),
        ("tags", "!".repeat(MIB)),
        ("anchors", "&a ".repeat(MIB / 3)),
        ("quotes", "\"\\x".repeat(MIB / 3)),
        ("one word", "a".repeat(MIB)),
    ] {
        let shown = refused(&text);
        assert_eq!(shown.len(), 1, "{what}");
        assert!(shown[0].len() < 400, "{what}: {} bytes", shown[0].len());
    }
}

#[test]
fn many_comments_and_blank_lines_are_nothing_special() {
    let noise = "  # why\n\n".repeat(1000);

    let policies = accepted(&with_spec(&format!("{noise}  cgroups:\n{noise}  - x\n{noise}  - y\n")));

    assert_eq!(policies[0].scope.cgroups().len(), 2);
}
