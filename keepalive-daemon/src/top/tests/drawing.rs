//! Terminals of all sizes, and what must not be written to them.

use serde_json::json;

use super::*;

#[test]
fn a_terminal_of_any_size_is_drawn_on() {
    let many: Vec<Value> = (0..300)
        .map(|id| cgroup(&format!("system.slice/{id}.service"), id, json!({"outbound": id})))
        .collect();
    for (width, height) in [(0, 0), (1, 1), (3, 2), (10, 3), (20, 5), (80, 24), (500, 200), (65_535, 1)] {
        let mut seen = Seen::new(width, height);
        seen.screen();
        seen.status(&many);
        seen.screen();
        for key in [KeyCode::End, KeyCode::Home, KeyCode::PageDown, KeyCode::Char('?'), KeyCode::Char('x')] {
            seen.press(key);
            seen.screen();
        }
        seen.press(KeyCode::Enter);
        let Question::Connections(scope) = seen.top.question() else { panic!("{width}x{height}") };
        let rows = vec![connection(1, "10.0.0.9:5432", "policy")];
        seen.news(News::Connections(scope, Ok(Connections { rows, summary: SocketSummary::default() })));
        seen.type_in("/x");
        seen.screen();
    }
}

#[test]
fn a_narrow_terminal_keeps_the_name_and_what_matters() {
    let cgroups =
        [cgroup("system.slice/a-service-with-a-long-name.service", 1, json!({"outbound": 30, "armed": 3}))];
    let mut seen = Seen::new(50, 20);
    seen.status(&cgroups);

    let lines = seen.lines();

    let head = lines.iter().find(|line| line.contains("CONNECTIONS")).unwrap();
    assert!(head.contains("ARMED") && !head.contains("OPEN") && !head.contains("MODE"), "{head}");
    let row = lines.iter().find(|line| line.contains("10%")).unwrap();
    assert!(
        row.starts_with('\u{2026}') && row.contains("a-long-name.service") && row.contains("30"),
        "{row}"
    );
}

#[test]
fn the_selected_entry_is_on_the_screen_and_its_details_below() {
    let many: Vec<Value> =
        (0..500).map(|id| cgroup(&format!("{id:03}.service"), id, json!({"outbound": 1}))).collect();
    let mut seen = Seen::of(&many);
    for (key, name) in [
        (KeyCode::End, "499"),
        (KeyCode::PageUp, "484"),
        (KeyCode::PageUp, "469"),
        (KeyCode::Up, "468"),
        (KeyCode::Home, "000"),
    ] {
        seen.press(key);
        let (names, lines) = (seen.names(), seen.lines());
        assert!(names.contains(&format!("{name}.service")), "{key}: {names:?}");
        assert!(
            lines.iter().any(|line| line.starts_with(&format!("cgroup      {name}.service"))),
            "{lines:?}"
        );
    }
}

#[test]
fn what_is_wrong_is_said() {
    let mut status = status(&three());
    let daemon = status.daemon.as_mut().unwrap();
    daemon.ready = false;
    daemon.unfinished = vec!["read the policies".to_owned()];
    daemon.policy_error = Some("p.yaml:3: no such field\nmore".to_owned());
    status.refused =
        serde_json::from_value(json!([{"path": "d.slice", "reason": "another program is alone"}])).unwrap();
    status.unreachable =
        serde_json::from_value(json!([{"pod": "shop/kata", "reason": "a TCP of its own"}])).unwrap();
    let mut seen = Seen::new(160, 30);
    seen.news(News::Status(Ok(Box::new(status))));

    let screen = seen.screen();
    for text in ["not ready", "has yet to: read the policies", "p.yaml:3: no such field\\nmore", "b.slice"] {
        assert!(screen.contains(text), "{text}:\n{screen}");
    }
    seen.type_in("/not governed");
    let screen = seen.screen();
    assert!(
        screen.contains("d.slice") && screen.contains("not governed: another program is alone"),
        "{screen}"
    );
    seen.press(KeyCode::Esc);
    seen.type_in("/kata");
    let screen = seen.screen();
    assert!(screen.contains("out of reach: a TCP of its own"), "{screen}");
    seen.press(KeyCode::Esc);
    seen.type_in("/b.slice");
    for text in ["4 TCP_KEEPIDLE (last: EINVAL", "1 dead; longest silence 77 s"] {
        assert!(seen.screen().contains(text), "{}", seen.screen());
    }
}

#[test]
fn the_help_names_the_keys_and_the_columns_of_the_list() {
    let mut seen = Seen::of(&three());
    seen.type_in("?");
    let help = seen.screen();
    for text in ["Ctrl-C", "3  MODE", "6  ARMED", "0  OPEN"] {
        assert!(help.contains(text), "{text}:\n{help}");
    }
    seen.press(KeyCode::Esc);
    seen.press(KeyCode::Enter);
    seen.type_in("?");
    assert!(seen.screen().contains("9  SILENT"), "{}", seen.screen());
}

#[test]
fn a_name_cannot_write_to_the_terminal() {
    let mut seen = Seen::of(&[cgroup("a\u{1b}[2Jb\r\n\u{9b}31m", 1, json!({"outbound": 1}))]);
    seen.press(KeyCode::Enter);
    let screen = seen.screen();
    seen.press(KeyCode::Esc);
    let screens = screen + &seen.screen();
    assert!(screens.contains("a\\u{1b}[2Jb\\r\\n\\u{9b}31m"), "{screens}");
    assert!(!screens.replace('\n', "").contains(|letter: char| letter.is_control()), "{screens:?}");
}
