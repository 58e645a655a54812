//! `--log-bpf`.

use nix::sys::signal::Signal;
use xtask::lab::Process;

use super::{ARMED, fresh, host_with_app, logged};
use crate::support::{Host, Prober, eventually, objects};

fn start_with_log(host: &Host) -> Process {
    let mut command = host.command("run");
    command.arg("--log-bpf");
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    daemon
}

pub(super) fn log_bpf_tells_of_each_connection() {
    let (host, app) = host_with_app("log");
    let daemon = start_with_log(&host);
    let mut peer = host.peer(&app);
    let mark = daemon.mark();

    let (listener, address) = peer.listen("127.0.0.1:0", false);
    let client = peer.connect(address);
    let server = peer.accept(listener);

    assert_eq!([client, server].map(|end| peer.options(end)), [ARMED; 2]);
    let port = address.port();
    // Between them, before 6.1, that the program could not read what the application had set.
    let is_armed = |line: &str| {
        line.contains(": armed")
            && line.contains("(policy: idle 61 s, interval 13 s, probes 5, user timeout 0 ms)")
    };
    let inbound = daemon.wait_line_from(mark, "inbound connection").unwrap();
    assert!(inbound.contains(&format!("local port {port},")) && is_armed(&inbound), "{inbound}");
    let outbound = daemon.wait_line_from(mark, "outbound connection").unwrap();
    assert!(outbound.contains(&format!("remote port {port}:")) && is_armed(&outbound), "{outbound}");
    assert_eq!(logged(&daemon, "bound connection").len(), 2, "a line an end");
}

pub(super) fn a_quiet_daemon_replaces_the_program_that_logs() {
    let (host, app) = host_with_app("quiet");
    let program = host.bpffs.path().join("keepalive/abi2/program");
    let daemon = start_with_log(&host);
    let (talking, maps) = objects::pinned_program(&program);
    let log_map = maps.into_iter().find(|map| objects::map_name(*map) == "AYA_LOGS").unwrap();
    let before = objects::links(&app);
    assert_eq!(before[0].program, talking);
    let prober = Prober::start(host.peer(&app));
    daemon.signal(Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();

    let next = host.start();

    prober.await_more(20);
    assert_eq!(prober.finish(), [ARMED], "every connection meanwhile is armed");
    assert_eq!(logged(&next, "replaced the program").len(), 1);
    let (quiet, maps) = objects::pinned_program(&program);
    let after = objects::links(&app);
    assert_eq!((after.len(), after[0].program), (1, quiet));
    assert!(quiet != talking && after[0].id != before[0].id, "a link of its own: {before:?}, {after:?}");
    assert!(maps.iter().all(|map| objects::map_name(*map) != "AYA_LOGS"), "{maps:?}");
    // Freed after a grace period that nothing tells the end of.
    eventually("the program that logs is freed with its ring buffer", || {
        (!objects::exists("prog", talking) && !objects::exists("map", log_map)).then_some(())
    });
    assert_eq!(fresh(&mut host.peer(&app)), ARMED);
}
