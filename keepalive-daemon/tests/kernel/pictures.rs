//! The pictures of the documents: what a real terminal shows. They are made again with `KEEPALIVE_PICTURES=1` in the
//! environment; without it, what is drawn now is compared with them.

use std::{fs, path::PathBuf};

use xtask::lab::Cgroup;

use crate::{
    peer::Options,
    support::{
        Host, Peer, Terminal, document, eventually,
        foreign::{Foreign, Way},
        picture,
    },
};

crate::tests!(the_pictures_show_what_is_drawn);

/// What the size of a picture has to stay below, in bytes.
const MOST_BYTES: usize = 20_000;

fn the_pictures_show_what_is_drawn() {
    let host = Host::new("picture");
    let [nginx, checkout, reports, legacy] =
        ["nginx", "checkout", "reports", "legacy"].map(|name| host.cgroup(&format!("system.slice/{name}.service")));
    let (jobs, foreign) = (host.cgroup("batch.slice/jobs.scope"), Foreign::load(1));
    let _alone = foreign.attach(&legacy, Way::Alone).unwrap();
    let policies = document("host-services", "system.slice/*.service", "keepalive: {idle: 60s}, userTimeout: auto")
        + &document("batch", "batch.slice/*", "mode: Monitor");
    host.write_policies("p.yaml", &policies);
    let daemon = host.start_with(host.command("run"));
    daemon.wait_line("not governed").or_else(|_| daemon.wait_line("cannot")).unwrap();
    let mut peers: Vec<Peer> =
        [(&nginx, 640), (&checkout, 96), (&jobs, 12)].map(|(cgroup, pairs)| with_pairs(&host, cgroup, pairs)).into();
    let mut asks = host.peer(&reports);
    let pairs = [7, 8, 9].map(|_| asking_pair(&mut asks));
    peers.push(asks);

    let mut terminal = Terminal::start(host.command("top").args(["--interval", "1s"]), 124, 21);
    terminal.await_text(&["1280", "not governed", "/s)", &format!("{}", pairs.len() * 2)]);
    terminal.press("\u{1b}[B\u{1b}[B");
    terminal.await_text(&["reports.service (id"]);
    keep("top.svg", &terminal, 21, "POD, OR CGROUP");

    let mut command = host.command("sockets");
    command.args(["--cgroup", "system.slice/reports.service"]);
    let mut table = Terminal::start(&command, 190, 9);
    table.await_end();
    keep("sockets.svg", &table, 8, "LOCAL");
    eventually("nobody left", || Some(peers.len()));
}

fn with_pairs(host: &Host, cgroup: &Cgroup, count: usize) -> Peer {
    let mut peer = host.peer(cgroup);
    peer.pairs(count);
    peer
}

/// A connection whose application asks for keep-alive itself, with looser values.
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
fn keep(name: &str, terminal: &Terminal, rows: u16, titles: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/pictures").join(name);
    let drawn = picture::svg(terminal.screen(), rows);
    assert!(drawn.len() < MOST_BYTES, "{name} has {} bytes", drawn.len());
    if std::env::var_os("KEEPALIVE_PICTURES").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &drawn).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = terminal.text();
    let line = text.lines().find(|line| line.contains(titles)).unwrap_or_else(|| panic!("no {titles} in\n{text}"));
    for title in line.split("  ").map(str::trim).filter(|title| !title.is_empty()) {
        assert!(kept.contains(title), "{name} has no {title}: make it again with KEEPALIVE_PICTURES=1");
    }
}
