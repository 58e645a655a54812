//! The cgroup tree while the daemon runs: what appears is attached, and of what vanishes nothing is left.

mod churn;
mod names;

use std::{collections::BTreeSet, fs, path::Path};

use xtask::lab::{Cgroup, Process};

use self::{
    churn::{
        a_cgroup_made_anew_two_hundred_times_is_armed, a_thousand_cgroups_come_and_go_without_a_trace,
        cgroups_that_vanish_while_they_are_attached_leave_nothing,
    },
    names::{a_name_that_is_no_text_is_warned_of, any_name_that_the_kernel_takes_is_armed},
};
use crate::{
    peer::Options,
    support::{Host, UNTOUCHED, document, eventually, list, objects, options},
};

crate::tests!(
    a_cgroup_made_anew_two_hundred_times_is_armed,
    a_name_that_is_no_text_is_warned_of,
    a_thousand_cgroups_come_and_go_without_a_trace,
    any_name_that_the_kernel_takes_is_armed,
    cgroups_made_while_the_daemon_runs_are_armed,
    cgroups_that_vanish_while_they_are_attached_leave_nothing,
);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";
/// What that makes of a socket that nobody touched.
const ARMED: Options = options(true, 61, 13, 5, 0);

/// Both ends of a fresh connection inside a cgroup.
fn fresh(host: &Host, cgroup: &Cgroup) -> [Options; 2] {
    let mut peer = host.peer(cgroup);
    let pair = peer.pair();
    [pair.client, pair.server].map(|end| peer.options(end))
}

/// What the daemon holds of the kernel for the cgroups it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    watches: usize,
    /// The cgroups that its program is linked to; 0 is one that is gone.
    linked: BTreeSet<u64>,
    pins: usize,
}

impl Holdings {
    fn of(host: &Host, daemon: &Process) -> Self {
        let process = Path::new("/proc").join(daemon.pid().to_string());
        let layout = host.bpffs.path().join("keepalive/abi2");
        let (program, _) = objects::pinned_program(&layout.join("program"));
        let links = list("link").into_iter().filter(|link| link["prog_id"] == program);
        Self {
            descriptors: fs::read_dir(process.join("fd")).unwrap().count(),
            watches: watches(&process),
            linked: links.map(|link| link["cgroup_id"].as_u64().unwrap()).collect(),
            pins: fs::read_dir(layout.join("cgroups")).unwrap().count(),
        }
    }

    /// Waits until they are these.
    fn await_again(&self, host: &Host, daemon: &Process) {
        let mut last = None;
        let what = "the daemon holds no more than before";
        // The kernel frees a link some time after its last pin is removed, and announces it to nobody.
        eventually(what, || (*last.insert(Self::of(host, daemon)) == *self).then_some(()));
    }
}

/// Starts the daemon and has it sweep a cgroup, which comes and goes: what it takes to sweep is loaded then, and kept.
fn start(host: &Host, path: &str) -> Process {
    let daemon = host.start();
    let cgroup = host.cgroup(path);
    let cgroups = |what: &str, is_so: &dyn Fn(&[serde_json::Value]) -> bool| {
        eventually(what, || is_so(host.status()["cgroups"].as_array()?).then_some(()));
    };
    cgroups("it is swept", &|all| all.iter().any(|it| it["openConnections"]["state"] == "swept"));
    cgroup.remove().unwrap();
    cgroups("it is no longer governed", &<[_]>::is_empty);
    daemon
}

/// How many inotify watches a process has.
fn watches(process: &Path) -> usize {
    let descriptors = fs::read_dir(process.join("fdinfo")).unwrap();
    // A descriptor may have been closed since it was listed.
    let infos = descriptors.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    infos.map(|info| info.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

/// Waits until as many lines of the daemon after `mark` contain `text`.
fn wait_lines(daemon: &Process, mark: usize, text: &str, count: usize) {
    let found = daemon.wait_for(&format!("{count} lines with {text:?}"), |lines, _| {
        let found = lines[mark..].iter().filter(|line| line.text.contains(text));
        (found.count() >= count).then_some(())
    });
    found.unwrap();
}

fn cgroups_made_while_the_daemon_runs_are_armed() {
    let host = Host::new("appear");
    let policies = [document("all", "web/**", KEEPALIVE), document("leaf", "*/x/y/z", KEEPALIVE)];
    host.write_policies("p.yaml", &policies.concat());
    let daemon = host.start();
    let mut made = Vec::new();
    for path in ["web", "web/one", "web/a/b/c", "web/a/b/d", "other/x/y/z"] {
        let selected = path != "web";
        // The cgroups above are made in the same breath: their watches are not there yet when this one appears.
        let cgroup = host.cgroup(path);
        if selected {
            daemon.wait_line(&format!("attached cgroup=\"{path}\"")).unwrap();
        }

        let expected = if selected { ARMED } else { UNTOUCHED };
        assert_eq!(fresh(&host, &cgroup), [expected; 2], "{path}");
        assert_eq!(objects::links(&cgroup).len(), usize::from(selected), "{path}");
        made.push(cgroup);
    }
    for (path, selected) in
        [("web/a", true), ("web/a/b", true), ("other", false), ("other/x", false), ("other/x/y", false)]
    {
        let between = host.cgroup(path);
        assert_eq!(objects::links(&between).len(), usize::from(selected), "{path}");
        made.push(between);
    }
}
