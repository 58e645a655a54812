//! The pictures of the documents: what a real terminal shows. They are made again with `KEEPALIVE_PICTURES=1` in the
//! environment; without it, what is drawn now is compared with them.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use xtask::lab::Cgroup;

use crate::{
    peer::Options,
    support::{Host, Peer, Terminal, document, eventually, picture},
};

crate::tests!(the_pictures_show_what_is_drawn);

/// What the size of a picture has to stay below, in bytes.
const MOST_BYTES: usize = 20_000;

fn the_pictures_show_what_is_drawn() {
    let host = Host::new("picture");
    let [nginx, checkout, reports] =
        ["nginx", "checkout", "reports"].map(|name| host.cgroup(&format!("system.slice/{name}.service")));
    let jobs = host.cgroup("batch.slice/jobs.scope");
    let policies =
        document("host-services", "system.slice/*.service", "keepalive: {idle: 60s}, userTimeout: auto")
            + &document("batch", "batch.slice/*", "mode: Monitor");
    host.write_policies("p.yaml", &policies);
    let _daemon = host.start();
    // What is open at that moment is armed again.
    eventually("what was open is swept", || {
        let status = host.status();
        let cgroups = status["cgroups"].as_array()?;
        cgroups.iter().all(|cgroup| cgroup["openConnections"]["state"] == "swept").then_some(())
    });
    // Before there is anything to count, so that there are rates to see.
    let mut terminal = Terminal::start(host.command("top").args(["--interval", "2s"]), 124, 17);
    terminal.await_text(&["ready", "4 cgroups, 0 connections"]);
    let _peers =
        [(&nginx, 640), (&checkout, 96), (&jobs, 12)].map(|(cgroup, pairs)| with_pairs(&host, cgroup, pairs));
    // By the name of a program that might be there.
    let program = host.directory().join("reportd");
    symlink(std::env::current_exe().unwrap(), &program).unwrap();
    let mut asks = Peer::spawn(host.netns.command(program), &reports);
    let [first, _, _] = [(); 3].map(|_| asking_pair(&mut asks));
    asks.set(first, Options { keepalive: Some(false), ..Options::default() });

    terminal.press("\u{1b}[B\u{1b}[B\u{1b}[B");
    terminal.await_text(&["1502 connections", "reports.service (id", "6 established, 3 armed, 3 tightened"]);
    keep("top.svg", &terminal, "POD, OR CGROUP");
    terminal.press("\r");
    terminal.await_text(&["6 of 6", "nobody"]);
    // What is set by nobody comes first.
    terminal.press("7g");
    terminal.await_text(&["SET BY\u{25b2}", "the application changed it since"]);
    keep("connections.svg", &terminal, "LOCAL");
}

fn with_pairs(host: &Host, cgroup: &Cgroup, count: usize) -> Peer {
    let mut peer = host.peer(cgroup);
    peer.pairs(count);
    peer
}

/// A connection whose application asks for keep-alive itself, with looser values; returns the end that connected.
fn asking_pair(peer: &mut Peer) -> usize {
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    let socket = peer.open(address, false);
    let asks = Options { keepalive: Some(true), idle_s: Some(7200), ..Options::default() };
    peer.set(socket, asks);
    peer.connect_with(socket, address);
    peer.accept(listener);
    socket
}

/// Makes a picture, or compares what is on the screen with the one that is there: they must have the same line of
/// titles, which begins with this.
fn keep(name: &str, terminal: &Terminal, titles: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/pictures").join(name);
    let drawn = picture::svg(terminal.screen());
    assert!(drawn.len() < MOST_BYTES, "{name} has {} bytes", drawn.len());
    if std::env::var_os("KEEPALIVE_PICTURES").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &drawn).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = terminal.text();
    let line =
        text.lines().find(|line| line.contains(titles)).unwrap_or_else(|| panic!("no {titles} in\n{text}"));
    for title in line.split("  ").map(str::trim).filter(|title| !title.is_empty()) {
        assert!(kept.contains(title), "{name} has no {title}: make it again with KEEPALIVE_PICTURES=1");
    }
}
