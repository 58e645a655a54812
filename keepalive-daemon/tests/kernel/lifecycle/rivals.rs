//! Two that want the same pins.

use nix::sys::signal::Signal;
use xtask::lab::Stream;

use super::{ARMED, KEEPALIVE, entries, fresh, host_with_app};
use crate::support::{UNTOUCHED, document, eventually, objects};

pub(super) fn a_second_daemon_refuses_and_says_who_holds_the_pins() {
    let (host, app) = host_with_app("second");
    let first = host.start();
    let links = objects::links(&app);
    host.await_swept();
    let before = entries(host.bpffs.path());

    let second = host.start_with(host.command("run"));

    assert_eq!(second.wait_output().unwrap().code(), Some(1));
    second.wait_line(&format!("are held by pid {} on ", first.pid())).unwrap();
    assert_eq!(entries(host.bpffs.path()), before);
    assert_eq!(objects::links(&app), links);
    // The first still does its job, and still answers.
    let later = host.cgroup("later");
    host.write_policies("later.yaml", &document("later", "later", KEEPALIVE));
    first.wait_line("cgroup=\"later\"").unwrap();
    assert_eq!(fresh(&mut host.peer(&later)), ARMED);
    assert_eq!(host.status()["daemon"]["pid"], first.pid());
}

pub(super) fn cleanup_refuses_while_a_daemon_runs_and_removes_everything_afterwards() {
    let (host, app) = host_with_app("cleanup");
    let fresh_bpffs = entries(host.bpffs.path());
    let daemon = host.start();
    let link = objects::links(&app)[0];
    let mut peer = host.peer(&app);
    let armed = peer.pair();

    let refused = host.run("cleanup", &[]);

    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains(&format!("held by pid {}", daemon.pid())), "{said}");
    assert_eq!(objects::links(&app), [link]);
    assert_eq!(fresh(&mut peer), ARMED);

    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    let removed = host.run("cleanup", &[]);

    assert_eq!(removed.status.code(), Some(0), "{removed:?}");
    eventually("the link ends", || (!objects::exists("link", link.id)).then_some(()));
    assert_eq!(objects::attached(&app), [] as [u64; 0]);
    assert_eq!(entries(host.bpffs.path()), fresh_bpffs, "the bpffs is as it was mounted");
    assert_eq!(peer.options(armed.client), ARMED, "a connection that was armed stays so");
    assert_eq!(fresh(&mut peer), UNTOUCHED);
}

pub(super) fn of_two_versions_that_start_together_one_governs() {
    let (host, app) = host_with_app("race");
    for round in 0..6 {
        let daemons = [host.command("run"), host.next_command()].map(|command| host.start_with(command));
        let winner = eventually("one of them is ready", || {
            let is_ready =
                |daemon: &xtask::lab::Process| daemon.text(Stream::Stderr).contains("ready: all policies");
            daemons.iter().position(is_ready)
        });
        let loser = &daemons[1 - winner];

        assert_eq!(loser.wait_output().unwrap().code(), Some(1), "round {round}");
        loser.wait_line(" are held by ").unwrap();

        let top = host.bpffs.path().join("keepalive");
        let [layout, other] = if winner == 0 { ["abi2", "abi3"] } else { ["abi3", "abi2"] };
        assert!(!top.join(other).exists(), "round {round}");
        let (program, _) = objects::pinned_program(&top.join(layout).join("program"));
        eventually("one link, to the program of the one that is ready", || {
            let programs: Vec<_> = objects::links(&app).iter().map(|link| link.program).collect();
            (programs == [program]).then_some(())
        });
        assert_eq!(fresh(&mut host.peer(&app)), ARMED, "round {round}");
        daemons[winner].check().unwrap();
    }
}
