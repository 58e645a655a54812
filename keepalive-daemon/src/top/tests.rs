//! What is on the screen after keys and news.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod drawing;

use std::time::{Duration, Instant};

use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Cell,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use serde_json::{Value, json};

use super::*;

/// The view, on a terminal, at a time.
struct Seen {
    top: Top,
    terminal: Terminal<TestBackend>,
    now: Instant,
}

impl Seen {
    fn new(width: u16, height: u16) -> Self {
        let terminal = Terminal::new(TestBackend::new(width, height));
        Self { top: Top::new(), terminal: terminal.unwrap(), now: Instant::now() }
    }

    /// One that knows of these cgroups, on a terminal with room for all.
    fn of(cgroups: &[Value]) -> Self {
        let mut seen = Self::new(160, 30);
        seen.status(cgroups);
        seen
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn status(&mut self, cgroups: &[Value]) {
        self.news(News::Status(Ok(Box::new(status(cgroups)))));
    }

    fn news(&mut self, news: News) {
        self.top.hear(news, self.now);
    }

    fn press(&mut self, code: KeyCode) {
        self.top.press(KeyEvent::new(code, KeyModifiers::NONE));
    }

    fn type_in(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(KeyCode::Char(letter));
        }
    }

    fn lines(&mut self) -> Vec<String> {
        self.terminal.draw(|frame| draw(frame, &mut self.top)).unwrap();
        let buffer = self.terminal.backend().buffer();
        let rows = buffer.content().chunks(buffer.area().width.max(1).into());
        rows.map(|row| row.iter().map(Cell::symbol).collect::<String>().trim_end().to_owned()).collect()
    }

    fn screen(&mut self) -> String {
        self.lines().join("\n")
    }

    /// The names in the list, from above.
    fn names(&mut self) -> Vec<String> {
        let lines = self.lines();
        let rows = lines.iter().skip_while(|line| !line.starts_with("POD, OR CGROUP")).skip(1);
        let rows = rows.take_while(|line| !line.is_empty());
        rows.map(|row| row.split(' ').next().unwrap().to_owned()).collect()
    }

    fn selected(&self) -> &str {
        self.top.cgroups.selected().unwrap().cells[0].text()
    }
}

/// A governed cgroup with these counters.
fn cgroup(path: &str, id: u64, counters: Value) -> Value {
    let in_force = json!({
        "mode": "Tighten", "direction": "Both", "idleSeconds": 60, "intervalSeconds": 15, "probes": 4, "nested": false,
    });
    json!({"path": path, "id": id, "policy": "web", "inForce": in_force, "counters": counters})
}

/// Three of them, of which each is first in something.
fn three() -> [Value; 3] {
    let mut third = cgroup("c.slice", 3, json!({"outbound": 10, "armed": 10}));
    third["openConnections"] = json!({
        "state": "swept", "examined": 9, "armed": 7, "tightened": 0, "overridden": 0, "keptChosen": 0, "keptTighter": 2,
        "keptDirection": 0, "keptDestination": 0, "wouldArm": 0, "wouldTighten": 0, "refused": 0, "at": "now",
    });
    let mut second =
        cgroup("b.slice", 2, json!({"inbound": 20, "armed": 10, "refused_idle": 4, "last_errno": 22}));
    second["helped"] = json!({
        "deadPeers": {"keepalive": 1, "userTimeout": 0, "reset": 0}, "keptAlive": 0, "usedAgain": 0, "longestSilenceSeconds": 77,
    });
    [cgroup("a.slice", 1, json!({"outbound": 30, "armed": 3, "tightened": 27})), second, third]
}

fn status(cgroups: &[Value]) -> Status {
    let mut status = without_daemon(cgroups);
    status.daemon = serde_json::from_value(json!({
        "pid": 4711, "version": "0.1.0", "ready": true, "unfinished": [], "cgroupRoot": "/", "sweeping": {}, "policies": [],
    }))
    .unwrap();
    status
}

fn without_daemon(cgroups: &[Value]) -> Status {
    let status = json!({"cgroups": cgroups, "refused": [], "unreachable": [], "annotations": []});
    let status: Status = serde_json::from_value(status).unwrap();
    Status { nobody: "no daemon answers on /s".to_owned(), ..status }
}

fn connection(cookie: u64, remote: &str, verdict: &str) -> SocketRow {
    serde_json::from_value(json!({
        "cookie": cookie, "network": "/proc/1/ns/net", "networkId": "4:1", "local": "127.0.0.1:80", "remote": remote, "state": "ESTAB",
        "options": {"keepalive": verdict != "off", "idleSeconds": 60, "intervalSeconds": 15, "probes": 4},
        "lastDataSentMilliseconds": cookie * 1000, "lastDataReceivedMilliseconds": 900_000,
        "timer": {"kind": "keepalive", "expiresMilliseconds": 42_000, "unanswered": 1},
        "process": {"pid": 12, "name": "nginx"}, "verdict": verdict, "why": "as the policy says",
    }))
    .unwrap()
}

#[test]
fn the_busiest_come_first_and_each_column_can_be_sorted_by() {
    let mut seen = Seen::of(&three());
    assert_eq!(seen.names(), ["a.slice", "b.slice", "c.slice"]);
    for (key, first) in [
        ('1', "a.slice"),
        ('6', "c.slice"),
        ('7', "a.slice"),
        ('8', "b.slice"),
        ('9', "b.slice"),
        ('0', "c.slice"),
    ] {
        seen.press(KeyCode::Char(key));
        assert_eq!(seen.names()[0], first, "{key}");
    }

    seen.press(KeyCode::Char('4'));
    seen.press(KeyCode::Char('4'));
    assert_eq!(seen.names(), ["c.slice", "b.slice", "a.slice"], "the other way round");
    seen.type_in("<<<");
    assert_eq!(seen.names(), ["a.slice", "b.slice", "c.slice"], "by name");
    seen.type_in("<r");
    assert_eq!(seen.names(), ["c.slice", "b.slice", "a.slice"], "there is nothing to the left");
}

#[test]
fn rates_are_of_the_time_between_two_pictures() {
    let mut seen =
        Seen::of(&[cgroup("a", 1, json!({"outbound": 30})), cgroup("b", 2, json!({"outbound": 5}))]);
    assert!(!seen.screen().contains("/s)"), "nothing to compare with");
    seen.pass(4);

    seen.status(&[cgroup("a", 1, json!({"outbound": 70})), cgroup("c", 3, json!({"outbound": 5}))]);

    let lines = seen.lines();
    let row = |name: &str| lines.iter().find(|line| line.starts_with(name)).unwrap().clone();
    assert!(row("a ").contains(" 10.0 "), "{}", row("a "));
    assert!(!row("c ").contains(".0"), "it was not known before: {}", row("c "));
    assert!(lines[0].contains("75 connections (10.0/s)"), "{}", lines[0]);
}

#[test]
fn what_is_typed_after_a_slash_narrows_the_list() {
    let mut seen = Seen::of(&three());
    seen.type_in("/B.SL");
    assert_eq!(seen.names(), ["b.slice"]);
    assert!(seen.screen().contains("1 of 3"), "{}", seen.screen());
    seen.type_in("q");
    assert!(seen.screen().contains("nothing has that in it") && !seen.top.is_over(), "{}", seen.screen());
    seen.press(KeyCode::Backspace);
    seen.press(KeyCode::Enter);
    seen.pass(1);
    seen.status(&three());
    assert_eq!(seen.names(), ["b.slice"], "the next picture is narrowed, too");
    assert!(seen.lines().last().unwrap().contains("1 of 3 with \"B.SL\""), "{}", seen.screen());

    seen.press(KeyCode::Esc);

    assert_eq!(seen.names().len(), 3);
}

#[test]
fn the_selection_stays_with_its_cgroup() {
    let [a, b, c] = three();
    let mut seen = Seen::of(&[a.clone(), b.clone(), c.clone()]);
    seen.press(KeyCode::Down);
    assert_eq!(seen.selected(), "b.slice");
    seen.type_in("1r");
    assert_eq!(seen.selected(), "b.slice", "however it is sorted");

    seen.status(&[a, c]);
    assert_eq!(seen.selected(), "a.slice", "it is gone: what came to its place");
    seen.press(KeyCode::End);
    seen.press(KeyCode::Down);
    assert_eq!(seen.selected(), "a.slice", "the end is the end");
    seen.status(&[]);
    assert!(seen.top.cgroups.selected().is_none() && seen.screen().contains("nothing to show"));
    seen.press(KeyCode::Down);
    seen.press(KeyCode::Enter);
    assert_eq!(seen.top.question(), Question::Cgroups, "there is nothing to go into");
}

#[test]
fn going_into_a_cgroup_shows_its_connections() {
    let mut seen = Seen::of(&three());
    seen.press(KeyCode::Enter);
    let scope = Scope { pod: None, cgroup: "a.slice".to_owned() };
    assert_eq!(seen.top.question(), Question::Connections(scope.clone()));
    assert!(seen.screen().contains("connections of a.slice"), "{}", seen.screen());

    let rows = vec![connection(61, "10.0.0.9:5432", "policy"), connection(700, "[2001:db8::1]:443", "off")];
    let unreachable = vec!["/proc/7/ns/net: not permitted".to_owned()];
    let summary = SocketSummary { left_off: true, unreachable, ..SocketSummary::default() };
    let other = Scope { pod: None, cgroup: "b.slice".to_owned() };
    seen.news(News::Connections(other, Ok(Connections::default())));
    seen.news(News::Connections(scope.clone(), Ok(Connections { rows, summary })));

    let screen = seen.screen();
    let at = |text: &str| screen.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{screen}"));
    assert!(at("[2001:db8::1]:443") < at("10.0.0.9:5432"), "the longest silence first:\n{screen}");
    for text in
        ["11m40s", "1m01s", "nginx (12)", "60s/15s/4", "keepalive 42s, 1 unanswered", "as the policy says"]
    {
        at(text);
    }
    assert!(screen.contains("only the first 2; 1 network namespace out of reach"), "{screen}");
    seen.news(News::Connections(scope, Err("the daemon broke off".to_owned())));
    let screen = seen.screen();
    assert!(screen.contains("broke off") && screen.contains("10.0.0.9"), "what is known stays:\n{screen}");

    seen.press(KeyCode::Esc);
    assert_eq!((seen.top.question(), seen.names().len()), (Question::Cgroups, 3));
}

#[test]
fn a_pause_shows_what_was_there_before() {
    let mut seen = Seen::of(&[cgroup("a", 1, json!({"outbound": 30}))]);
    seen.press(KeyCode::Char(' '));
    seen.pass(10);
    seen.status(&[cgroup("a", 1, json!({"outbound": 130}))]);
    assert!(seen.screen().contains("PAUSED") && !seen.screen().contains("130"), "{}", seen.screen());

    seen.press(KeyCode::Char(' '));
    seen.status(&[cgroup("a", 1, json!({"outbound": 130}))]);

    assert!(seen.screen().contains("(10.0/s)") && !seen.screen().contains("PAUSED"), "{}", seen.screen());
    seen.press(KeyCode::Char(' '));
    seen.press(KeyCode::Enter);
    assert!(
        !seen.screen().contains("PAUSED"),
        "there is nothing to look at in a cgroup of which nothing is known"
    );
}

#[test]
fn q_and_control_c_end_it_wherever_it_is() {
    let mut seen = Seen::of(&three());
    seen.type_in("?q");
    assert!(!seen.top.is_over(), "a key ends the help");
    seen.type_in("q");
    assert!(seen.top.is_over());
    for before in ["", "/", "?"] {
        let mut seen = Seen::of(&three());
        seen.type_in(before);
        seen.top.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(seen.top.is_over(), "{before:?}");
    }
}

#[test]
fn a_daemon_that_goes_and_comes_back_loses_nothing() {
    let mut seen = Seen::new(160, 30);
    assert!(seen.screen().contains("asking the daemon"));
    seen.news(News::Status(Err("cannot read the bpffs".to_owned())));
    assert!(seen.screen().contains("no answer yet") && seen.screen().contains("cannot read the bpffs"));

    seen.status(&three());
    seen.press(KeyCode::Down);
    seen.pass(1);
    seen.news(News::Status(Err("the daemon does not answer".to_owned())));
    assert!(seen.screen().contains("the daemon does not answer"), "{}", seen.screen());
    assert_eq!(seen.names().len(), 3, "what is known stays");
    seen.pass(1);
    seen.news(News::Status(Ok(Box::new(without_daemon(&three())))));
    assert!(
        seen.screen().contains("no daemon answers on /s; what is pinned is in force"),
        "{}",
        seen.screen()
    );
    assert!(!seen.screen().contains("does not answer"), "{}", seen.screen());
    seen.pass(1);
    let [a, b, _] = three();
    seen.status(&[a, b, cgroup("c.slice", 3, json!({"outbound": 4}))]);

    let screen = seen.screen();
    assert!(screen.contains("daemon 0.1.0 (pid 4711): ready") && screen.contains("(0.0/s)"), "{screen}");
    assert_eq!(seen.selected(), "b.slice");
    let lines = seen.lines();
    let reset = lines.iter().find(|line| line.starts_with("c.slice")).unwrap();
    assert!(!reset.contains("0.0"), "counters that begin anew have no rate: {reset}");
}
