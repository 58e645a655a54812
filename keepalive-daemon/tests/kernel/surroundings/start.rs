//! What the daemon needs beside the kernel: a socket, a directory, open files.

use std::{fs, os::unix::net::UnixListener, process::Command, thread};

use super::{assert_free, host_with_app, refused, run_with};
use crate::support::options;

pub(super) fn a_control_socket_that_cannot_be_is_refused() {
    let (host, app) = host_with_app("socket");
    let bpffs = host.bpffs.path().to_str().unwrap();
    let root = host.root.path().to_str().unwrap();
    let directory = host.directory();
    let file = directory.join("file");
    fs::write(&file, "precious").unwrap();
    let taken = directory.join("taken");
    let _other = UnixListener::bind(&taken).unwrap();
    let long = directory.join("x".repeat(120));
    let below_a_file = file.join("socket");
    for (socket, says) in [
        (&file, "is not a socket, and is left alone"),
        (&directory.join("policies"), "is not a socket, and is left alone"),
        (&taken, "another process already answers"),
        (&long, "path must be shorter"),
        (&below_a_file, "cannot create"),
    ] {
        let path = socket.to_str().unwrap();
        let flags = ["--bpffs", bpffs, "--cgroup-root", root, "--api-socket", path];

        refused(path, &mut run_with(&host, &flags), 1, &[says]);

        assert_free(&app, path);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(taken.exists());
}

pub(super) fn an_answer_that_is_no_status_is_refused() {
    let (host, _) = host_with_app("strange-answer");
    let listener = UnixListener::bind(host.socket()).unwrap();
    for (answer, says) in [
        (&b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"[..], "answered 503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "cannot read the answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "asking the daemon"),
        (b"", "asking the daemon"),
    ] {
        thread::scope(|scope| {
            scope.spawn(|| {
                use std::io::{BufRead as _, BufReader, Write as _};
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
                request.find(|line| line.as_ref().unwrap().is_empty()).unwrap().unwrap();
                stream.write_all(answer).unwrap();
            });

            refused(says, &mut host.command("status"), 1, &[says, host.socket().to_str().unwrap()]);
        });
    }
}

pub(super) fn a_missing_policy_directory_is_waited_for() {
    let (host, app) = host_with_app("no-policies");
    let (policies, elsewhere) = (host.policies(), host.directory().join("elsewhere"));
    fs::rename(&policies, &elsewhere).unwrap();

    let daemon = host.start_with(host.command("run"));

    let said = daemon.wait_line("cannot use the policies").unwrap();
    assert!(said.contains("ERROR") && said.contains("what is pinned stays"), "{said}");
    daemon.wait_line(policies.to_str().unwrap()).unwrap();
    assert_eq!(host.run("status", &[]).status.code(), Some(1));
    assert_free(&app, "without policies");
    fs::rename(&elsewhere, &policies).unwrap();
    daemon.wait_line("ready: all policies").unwrap();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
}

pub(super) fn too_few_open_files_are_refused() {
    let (host, app) = host_with_app("few-files");
    let limited = |limit: u32| {
        let run = host.command("run");
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}")).arg(run.get_program()).args(run.get_args());
        command.env_remove("RUST_LOG");
        command
    };
    for limit in [6, 16, 127] {
        let what = format!("{limit} open files");

        refused(&what, &mut limited(limit), 1, &["RLIMIT_NOFILE", "needs 128", "ulimit -n"]);

        assert_free(&app, &what);
    }
    // What is asked for is enough, also for far more cgroups than that.
    let many: Vec<_> = (0..200).map(|number| host.cgroup(&format!("many/{number}"))).collect();
    host.write_policies("many.yaml", &crate::support::document("many", "many/*", super::KEEPALIVE));
    let daemon = host.start_with(limited(128));
    daemon.wait_line("ready: all policies").unwrap();
    for cgroup in [&app, &many[0], &many[199]] {
        let mut peer = host.peer(cgroup);
        let pair = peer.pair();
        assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
    }
    assert_eq!(host.run("status", &[]).status.code(), Some(0));
}
