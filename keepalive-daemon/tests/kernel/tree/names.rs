//! What cgroups may be called.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use super::{ARMED, KEEPALIVE, fresh};
use crate::support::{Host, UNTOUCHED, document};

/// Names that are odd somewhere between the directory, the glob, the pin, the log and the status.
fn odd_names() -> Vec<String> {
    let long = "n".repeat(255);
    let longer_in_bytes = "ü".repeat(127);
    [
        "two words",
        " leading and trailing ",
        ".hidden",
        "...",
        "a.b.service",
        r"dev\x2dhugepages.mount",
        r"back\slash\",
        "naïve-日本語-🦀",
        "tab\tand\u{7f}",
        "quote\"and'",
        "{brace}[class]*?",
        "-o",
        "%s$HOME`x`",
        "carriage\rreturn",
        "\u{1b}[31mred",
        &long,
        &longer_in_bytes,
    ]
    .map(str::to_owned)
    .into()
}

pub(super) fn any_name_that_the_kernel_takes_is_armed() {
    for at_start in [true, false] {
        let host = Host::new("names");
        host.write_policies("p.yaml", &document("all", "**", KEEPALIVE));
        let make = || odd_names().iter().map(|name| host.cgroup(name)).collect::<Vec<_>>();
        let mut cgroups = if at_start { make() } else { Vec::new() };
        let daemon = host.start();
        if !at_start {
            cgroups = make();
            super::wait_lines(&daemon, 0, "attached cgroup=", cgroups.len());
        }

        for (name, cgroup) in odd_names().iter().zip(&cgroups) {
            assert_eq!(fresh(&host, cgroup), [ARMED; 2], "{name:?}, there at the start: {at_start}");
        }
        let status = host.status();
        let paths: Vec<&str> =
            status["cgroups"].as_array().unwrap().iter().map(|c| c["path"].as_str().unwrap()).collect();
        assert!(odd_names().iter().all(|name| paths.contains(&name.as_str())), "{paths:?}");
        let log = daemon.text(xtask::lab::Stream::Stderr);
        assert!(!log.contains(['\u{1b}', '\r']), "a name reaches the terminal as it is: {log}");
    }
    // The one character beside the slash that the kernel refuses.
    let host = Host::new("newline");
    let refused = fs::create_dir(host.root.path().join("two\nlines")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
}

pub(super) fn a_name_that_is_no_text_is_warned_of() {
    for at_start in [true, false] {
        let host = Host::new("bytes");
        let path = host.root.path().join(OsStr::from_bytes(b"caf\xe9"));
        host.write_policies("p.yaml", &document("all", "**", KEEPALIVE));
        let make = || fs::create_dir(&path).unwrap();
        if at_start {
            make();
        }
        let daemon = host.start();
        if !at_start {
            make();
        }

        let warning = daemon.wait_line("not UTF-8").unwrap();
        assert!(warning.contains(" WARN ") && warning.contains(r"caf\xE9"), "{warning}");
        // The others go on being governed.
        let text = host.cgroup("text");
        daemon.wait_line("attached cgroup=\"text\"").unwrap();
        assert_eq!(fresh(&host, &text), [ARMED; 2]);
        let mut peer = {
            let mut command = host.netns.command(std::env::current_exe().unwrap());
            command.arg(crate::PEER);
            let process = xtask::lab::Process::spawn("a peer", command).unwrap();
            fs::write(path.join("cgroup.procs"), process.pid().to_string()).unwrap();
            crate::support::Peer::new(process)
        };
        let pair = peer.pair();
        assert_eq!(peer.options(pair.client), UNTOUCHED);
    }
}
