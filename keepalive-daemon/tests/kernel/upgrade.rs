//! A daemon of another version takes over, and no connection falls between.

mod unknown;

use std::fs;

use nix::sys::signal::Signal;
use xtask::lab::{Cgroup, Process};

use self::unknown::{
    what_a_later_version_left_is_taken_over_and_what_is_not_ours_left_alone,
    what_is_unknown_among_the_pins_is_left_alone_until_cleanup,
};
use crate::{
    peer::Options,
    support::{Host, Prober, document, eventually, kernel_complaints, objects, options, stop},
};

crate::tests!(
    a_changed_program_replaces_the_old_one_without_a_gap,
    an_upgrade_with_broken_policies_leaves_the_old_layout_in_force_until_they_are_repaired,
    another_layout_takes_over_without_a_gap_and_gives_back,
    the_pods_stay_with_the_old_layout_until_they_are_known,
    what_a_later_version_left_is_taken_over_and_what_is_not_ours_left_alone,
    what_is_unknown_among_the_pins_is_left_alone_until_cleanup,
);

const OUTER: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";
const INNER: &str = "keepalive: {idle: 300s, interval: 77s, probes: 7}";
const OUTER_ARMED: Options = options(true, 61, 13, 5, 0);
const INNER_ARMED: Options = options(true, 300, 77, 7, 0);

/// A slice and a service in it, both selected.
struct Site {
    host: Host,
    cgroups: [Cgroup; 2],
}

impl Site {
    fn new(label: &str) -> Self {
        let host = Host::new(label);
        let cgroups = ["slice", "slice/service"].map(|path| host.cgroup(path));
        let policies = [document("outer", "slice", OUTER), document("inner", "slice/service", INNER)];
        host.write_policies("p.yaml", &policies.concat());
        Self { host, cgroups }
    }

    /// Probers, each with what its connections must have: the policy of their own cgroup. Most are in the inner
    /// one, where a connection must pass the programs of both.
    fn probers(&self) -> Vec<(Prober, Options)> {
        let [outer, inner] = &self.cgroups;
        let of = |cgroup, armed| (Prober::start(self.host.peer(cgroup)), armed);
        vec![of(outer, OUTER_ARMED), of(inner, INNER_ARMED), of(inner, INNER_ARMED), of(inner, INNER_ARMED)]
    }

    /// The ids of all links to the two cgroups.
    fn links(&self) -> Vec<u64> {
        self.cgroups.iter().flat_map(objects::links).map(|link| link.id).collect()
    }

    /// The ids of all links to the two cgroups, once the kernel has ended those of before: one a cgroup, and none
    /// of before, which BPF_LINK_UPDATE would keep. Links whose pins were removed end in a worker of the kernel's.
    fn links_without(&self, before: &[u64]) -> Vec<u64> {
        let links = eventually("the links of before end", || {
            Some(self.links()).filter(|links| links.iter().all(|id| !before.contains(id)))
        });
        assert_eq!(links.len(), self.cgroups.len());
        links
    }

    /// The layouts that are pinned.
    fn layouts(&self) -> Vec<String> {
        let entries = fs::read_dir(self.host.bpffs.path().join("keepalive")).unwrap().map(Result::unwrap);
        let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        directories.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// Starts the daemon of the layout that comes after this one.
    fn start_next(&self) -> Process {
        self.host.start_with(self.host.next_command())
    }
}

/// Lets connections be made after what happened last, and checks all that were ever made.
fn assert_without_a_gap(probers: Vec<(Prober, Options)>) {
    for (prober, _) in &probers {
        prober.await_more(20);
    }
    for (prober, armed) in probers {
        assert_eq!(prober.finish(), [armed]);
    }
}

fn another_layout_takes_over_without_a_gap_and_gives_back() {
    let site = Site::new("layout");
    let complaints = kernel_complaints();
    let first = site.host.start();
    assert_eq!(site.layouts(), ["abi2"]);
    let before = site.links();
    let probers = site.probers();

    stop(&first, Signal::SIGTERM);
    let second = site.start_next();
    second.wait_line("ready: all policies").unwrap();

    assert_eq!(site.layouts(), ["abi3"]);
    let between = site.links_without(&before);

    stop(&second, Signal::SIGKILL);
    let third = site.host.start();

    assert_eq!(site.layouts(), ["abi2"]);
    site.links_without(&between);
    assert_without_a_gap(probers);
    assert_eq!(kernel_complaints(), complaints);
    third.check().unwrap();
}

fn a_changed_program_replaces_the_old_one_without_a_gap() {
    let site = Site::new("program");
    let complaints = kernel_complaints();
    let mut daemon = site.host.start();
    let probers = site.probers();
    let mut links = site.links();
    for round in 0..12 {
        stop(&daemon, Signal::SIGTERM);
        let mut command = site.host.command("run");
        // A program with other instructions on the same maps, and back.
        if round % 2 == 0 {
            command.arg("--log-bpf");
        }
        daemon = site.host.start_with(command);
        daemon.wait_line("ready: all policies").unwrap();

        links = site.links_without(&links);
    }
    assert_without_a_gap(probers);
    assert_eq!(kernel_complaints(), complaints);
}

fn an_upgrade_with_broken_policies_leaves_the_old_layout_in_force_until_they_are_repaired() {
    let site = Site::new("broken");
    let first = site.host.start();
    let links = site.links();
    let probers = site.probers();
    stop(&first, Signal::SIGTERM);
    let good = fs::read_to_string(site.host.policies().join("p.yaml")).unwrap();
    site.host.write_policies("p.yaml", "kind: nonsense\n");

    let next = site.start_next();

    next.wait_line("what is pinned stays in force").unwrap();
    assert_eq!(site.host.run("status", &[]).status.code(), Some(1));
    assert_eq!(site.host.status()["daemon"]["ready"], false);
    assert_eq!(site.links(), links, "the old links, and no others");
    assert!(site.layouts().contains(&"abi2".to_owned()));
    for (prober, _) in &probers {
        prober.await_more(20);
    }

    site.host.write_policies("p.yaml", &good);

    next.wait_line("ready: all policies").unwrap();
    assert_eq!(site.layouts(), ["abi3"]);
    site.links_without(&links);
    assert_without_a_gap(probers);
}

fn the_pods_stay_with_the_old_layout_until_they_are_known() {
    const POD: &str = "slice/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";
    let Site { host, cgroups } = Site::new("untold");
    let site = Site { cgroups: [host.cgroup(POD), cgroups.into_iter().next().unwrap()], host };
    site.host.write_policies("p.yaml", &document("pods", "slice/pod*", OUTER));
    let first = site.host.start();
    let link = objects::links(&site.cgroups[0]);
    stop(&first, Signal::SIGTERM);
    let of_pods =
        document("pods", "slice/pod*", OUTER).replace("cgroups: [\"slice/pod*\"]", "namespaces: [shop]");
    site.host.write_policies("p.yaml", &of_pods);
    let mut command = site.host.next_command();
    command.env("KEEPALIVE_CRI_SOCKET", site.host.directory().join("missing.sock"));

    let second = site.host.start_with(command);
    second.wait_line("the container runtime does not answer").unwrap();

    assert_eq!(objects::links(&site.cgroups[0]), link, "while the runtime is away");
    let armed = Prober::start(site.host.peer(&site.cgroups[0]));
    armed.await_more(1);
    assert_eq!(armed.finish(), [OUTER_ARMED]);

    stop(&second, Signal::SIGTERM);
    let third = site.start_next();
    third.wait_line("ready: all policies").unwrap();

    assert_eq!(site.layouts(), ["abi3"]);
    eventually("the link of before ends", || objects::links(&site.cgroups[0]).is_empty().then_some(()));
}
