//! `top` on a real terminal.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;

use crate::support::{Host, Terminal, document};

crate::tests!(
    a_daemon_that_does_not_answer_holds_up_no_key,
    a_restart_of_the_daemon_is_lived_through,
    a_window_that_is_closed_ends_it,
    signals_leave_the_terminal_as_it_was,
    the_view_shows_what_the_kernel_has_and_goes_into_it,
);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

fn host() -> Host {
    let host = Host::new("top");
    host.write_policies("p.yaml", &document("web", "app*", KEEPALIVE));
    host
}

fn top(host: &Host) -> Terminal {
    Terminal::start(host.command("top").args(["--interval", "100ms"]), 140, 30)
}

/// The cells of the row that begins with a name.
fn row(screen: &str, name: &str) -> Option<Vec<String>> {
    let row = screen.lines().find(|line| line.starts_with(&format!("{name} ")))?;
    Some(row.split_whitespace().map(str::to_owned).collect())
}

/// The ends of the connections through a port that `ss` shows with keep-alive's timer.
fn ss(host: &Host, port: u16) -> Vec<[String; 2]> {
    let mut command = host.netns.command("ss");
    command.args(["-Htno", "state", "established"]).arg(format!("( sport = {port} or dport = {port} )"));
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let armed = shown.lines().filter(|line| line.contains("timer:(keepalive"));
    let ends =
        armed.map(|line| line.split_whitespace().skip(2).take(2).map(str::to_owned).collect::<Vec<_>>());
    ends.map(|ends| ends.try_into().unwrap()).collect()
}

fn the_view_shows_what_the_kernel_has_and_goes_into_it() {
    let host = host();
    let (app, _idle) = (host.cgroup("app"), host.cgroup("app-idle"));
    let _daemon = host.start();
    let mut terminal = top(&host);
    terminal.await_text(&["ready", "2 cgroups, 0 connections"]);

    let mut peer = host.peer(&app);
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    let client = peer.connect(address);
    peer.accept(listener);

    assert_eq!(peer.options(client), crate::support::options(true, 61, 13, 5, 0));
    let cells = terminal.await_screen("connections of app", |screen| {
        row(&screen.contents(), "app").filter(|cells| cells[3] == "2")
    });
    assert_eq!(cells[..3], ["app", "web", "Tighten"]);
    assert!(cells.contains(&"100%".to_owned()), "{cells:?}");
    terminal.press("1");
    terminal.press("\u{1b}[B");
    terminal.await_text(&["cgroup      app-idle"]);
    terminal.press("\u{1b}[A\r");
    let screen = terminal.await_text(&["connections of app", "61s/13s/5", "keepalive "]);
    let ends = ss(&host, address.port());
    assert_eq!(ends.len(), 2, "{ends:?}");
    for [local, remote] in &ends {
        let shows = |line: &str| line.contains(local) && line.contains(remote) && line.contains("61s/13s/5");
        assert!(screen.lines().any(shows), "{local} to {remote}:\n{screen}");
    }
    terminal.press("\u{1b}");
    terminal.await_text(&["Enter connections"]);
    terminal.press("/idle\r");
    let filtered = terminal.await_text(&["1 of 2 with \"idle\""]);
    assert!(row(&filtered, "app").is_none(), "{filtered}");
    terminal.press("q");

    assert_eq!(terminal.await_end().code(), Some(0));
    assert!(terminal.is_restored(), "{}", terminal.text());
}

fn signals_leave_the_terminal_as_it_was() {
    let host = host();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut terminal = top(&host);
        terminal.await_text(&["no daemon answers on"]);
        assert!(!terminal.is_restored(), "it draws on the whole screen");

        terminal.signal(signal);

        assert_eq!(terminal.await_end().signal(), Some(signal as i32));
        assert!(terminal.is_restored(), "{signal}: {}", terminal.text());
    }
    let mut terminal = top(&host);
    terminal.await_text(&["no daemon answers on"]);
    terminal.press("\u{3}");
    assert_eq!(terminal.await_end().code(), Some(0), "Ctrl-C is a key");
    assert!(terminal.is_restored());
}

fn a_window_that_is_closed_ends_it() {
    let host = host();
    let mut terminal = top(&host);
    terminal.await_text(&["no daemon answers on"]);

    terminal.hang_up();

    let ended = terminal.await_end();
    // The terminal goes, and the kernel tells of it; which of them is heard first is open.
    assert!(ended.code() == Some(1) || ended.signal() == Some(Signal::SIGHUP as i32), "{ended}");
}

fn a_restart_of_the_daemon_is_lived_through() {
    let host = host();
    let app = host.cgroup("app");
    let daemon = host.start();
    let mut peer = host.peer(&app);
    peer.pair();
    let mut terminal = top(&host);
    let first = format!("(pid {}): ready", daemon.pid());
    terminal.await_text(&[&first, "2 connections"]);

    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    let meanwhile = terminal.await_text(&["no daemon answers on", "what is pinned is in force"]);
    assert_eq!(row(&meanwhile, "app").unwrap()[3], "2", "{meanwhile}");
    peer.pair();
    terminal.await_text(&["4 connections"]);
    let next = host.start();

    terminal.await_text(&[&format!("(pid {}): ready", next.pid()), "4 connections"]);
    terminal.press("q");
    assert_eq!(terminal.await_end().code(), Some(0));
}

fn a_daemon_that_does_not_answer_holds_up_no_key() {
    let host = host();
    let _app = host.cgroup("app");
    let daemon = host.start();
    let mut terminal = top(&host);
    terminal.await_text(&["ready", "1 cgroup"]);

    daemon.signal(Signal::SIGSTOP).unwrap();
    terminal.press("?");

    let help = terminal.await_text(&["KEYS", "Ctrl-C"]);
    assert!(!help.contains("does not answer"), "the key was waited for:\n{help}");
    terminal.await_text(&["does not answer; is it stopped?"]);
    daemon.signal(Signal::SIGCONT).unwrap();
    terminal.press("q");
    terminal.await_screen("list without a complaint", |screen| {
        let text = screen.contents();
        (text.contains("CONNECTIONS") && !text.contains("does not answer")).then_some(())
    });
    terminal.press("q");
    assert_eq!(terminal.await_end().code(), Some(0));
}
