//! A host whose daemon is killed, and what must be in its kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use xtask::lab::{Cgroup, Process};

use crate::{
    peer::Options,
    support::{
        At, End, Ended, Host, Peer, Prober, UNTOUCHED, document, eventually, list, objects, options,
        run_until,
    },
};

/// What a daemon says when it is done.
pub(super) const READY: &str = "ready: all policies";

/// The cgroups, each with what its policies say besides their timers, and whether the first policies select it, and
/// the second ones.
const CGROUPS: &[(&str, &str, [bool; 2])] = &[
    ("slice", "mode: Tighten", [true, true]),
    ("slice/service", "mode: Enforce", [true, true]),
    ("plain", "mode: FillMissing", [true, true]),
    ("far", "mode: Tighten, destinations: [{cidr: 127.0.0.0/8}, {cidr: \"::1/128\"}]", [true, true]),
    ("leaving", "mode: Enforce", [true, false]),
    ("coming", "mode: Enforce", [false, true]),
    ("free", "", [false, false]),
];

/// Which policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edition {
    First,
    Second,
}

/// Which daemon, by how it lays out its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    This,
    Next,
}

pub(super) struct Site {
    pub(super) host: Host,
    cgroups: BTreeMap<&'static str, Cgroup>,
    peers: BTreeMap<&'static str, Peer>,
    /// What a daemon writes that nobody kills.
    written: BTreeMap<(Edition, Layout), BTreeMap<String, String>>,
}

impl Edition {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// What a connection in a cgroup gets.
    pub(super) fn options(self, cgroup: &str) -> Options {
        let at = CGROUPS.iter().position(|(path, ..)| *path == cgroup).unwrap();
        let number = u64::try_from(at).unwrap();
        match (self, CGROUPS[at].2) {
            (Self::First, [true, _]) => options(true, 60 + number, 13, 5, 0),
            (Self::Second, [_, true]) => options(true, 170 + number, 27, 8, 0),
            _ => UNTOUCHED,
        }
    }

    fn governs(self, cgroup: &str) -> bool {
        self.options(cgroup) != UNTOUCHED
    }

    fn text(self) -> String {
        let governed = CGROUPS.iter().filter(|(path, ..)| self.governs(path));
        let documents = governed.map(|(path, more, _)| {
            let Options { idle_s, interval_s, probes, .. } = self.options(path);
            let [idle, interval] = [idle_s, interval_s].map(Option::unwrap);
            let timers =
                format!("keepalive: {{idle: {idle}s, interval: {interval}s, probes: {}}}", probes.unwrap());
            // A sweep between two looks at a connection would make it look mixed.
            document(&path.replace('/', "-"), path, &format!("{timers}, {more}, applyToExisting: false"))
        });
        documents.collect()
    }
}

impl Layout {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::This => Self::Next,
            Self::Next => Self::This,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::This => "abi2",
            Self::Next => "abi3",
        }
    }
}

impl Site {
    pub(super) fn new(label: &str) -> Self {
        let host = Host::new(label);
        let cgroups: BTreeMap<_, _> = CGROUPS.iter().map(|(path, ..)| (*path, host.cgroup(path))).collect();
        let peers = cgroups.iter().map(|(path, cgroup)| (*path, host.peer(cgroup))).collect();
        let site = Self { host, cgroups, peers, written: BTreeMap::new() };
        site.write(Edition::First);
        site
    }

    /// Puts policies in the directory.
    pub(super) fn write(&self, edition: Edition) {
        self.host.write_policies("p.yaml", &edition.text());
    }

    /// Probers in cgroups that are governed all the time, with what their connections may have.
    pub(super) fn probers(&self, editions: &[Edition]) -> Vec<(Prober, Vec<Options>)> {
        let of = |path| {
            let prober = Prober::start(self.host.peer(&self.cgroups[path]));
            (prober, editions.iter().map(|edition| edition.options(path)).collect())
        };
        ["slice", "slice/service", "far"].map(of).into()
    }

    pub(super) fn command(&self, layout: Layout) -> Command {
        match layout {
            Layout::This => self.host.command("run"),
            Layout::Next => self.host.next_command(),
        }
    }

    /// Starts the daemon, and kills it at a point of its start.
    pub(super) fn killed(&self, layout: Layout, at: At) -> Ended {
        let ended = run_until(self.command(layout), &End { from: None, at, until: Some(READY) });
        assert_eq!(ended.code, None, "it ended by itself:\n{}", ended.said);
        ended
    }

    /// A daemon with all in force; whoever drops it kills it.
    pub(super) fn start(&self, layout: Layout) -> Process {
        let daemon = self.host.start_with(self.command(layout));
        daemon.wait_line(READY).unwrap();
        daemon
    }

    /// Starts a daemon, and kills it once all is checked.
    pub(super) fn make_whole(&mut self, layout: Layout, edition: Edition, after: &str) {
        let daemon = self.start(layout);
        self.check(layout, edition, after);
        daemon.check().unwrap();
    }

    /// Notes what is written by a daemon that nobody killed, to compare with.
    pub(super) fn note(&mut self, layout: Layout, edition: Edition) {
        let policies = self.layout(layout).join("maps/POLICY");
        self.written.insert((edition, layout), objects::written(&policies));
        self.check(layout, edition, "when nobody was killed");
    }

    /// What is in the kernel is what should be.
    pub(super) fn check(&mut self, layout: Layout, edition: Edition, after: &str) {
        let (pinned, expected) = (pinned(&self.host), self.expected(layout, edition));
        let differing: Vec<_> = pinned.symmetric_difference(&expected).collect();
        assert!(differing.is_empty(), "of {differing:?}, {pinned:?} is pinned after {after}");
        let policies = self.layout(layout).join("maps/POLICY");
        assert_eq!(
            objects::written(&policies),
            self.written[&(edition, layout)],
            "the policies in the kernel after {after}"
        );
        let [program, guard] = ["program", "guard_program"]
            .map(|name| objects::pinned_program(&self.layout(layout).join(name)).0);
        let mut links = Vec::new();
        for (path, more, _) in CGROUPS.iter().filter(|(path, ..)| edition.governs(path)) {
            links.push((self.cgroups[path].id(), "cgroup_sock_ops".to_owned(), program));
            if more.contains("Enforce") {
                links.push((self.cgroups[path].id(), "cgroup_setsockopt".to_owned(), guard));
            }
        }
        links.sort();
        // Those of a killed daemon that were not pinned end in a worker of the kernel's.
        eventually(&format!("{links:?} and no other links after {after}"), || {
            (self.links() == links).then_some(())
        });
        for (path, peer) in &mut self.peers {
            let pair = peer.pair();
            for end in [pair.client, pair.server] {
                assert_eq!(peer.options(end), edition.options(path), "a connection in {path} after {after}");
                peer.close(end);
            }
        }
    }

    /// Nothing of any daemon is in the kernel.
    pub(super) fn check_empty(&mut self, after: &str) {
        assert_eq!(pinned(&self.host), BTreeSet::new(), "what is pinned after {after}");
        eventually(&format!("no links after {after}"), || self.links().is_empty().then_some(()));
    }

    /// The program, the guard, and the maps.
    pub(super) fn objects(&self, layout: Layout) -> [Vec<u64>; 2] {
        let pinned =
            ["program", "guard_program"].map(|name| objects::pinned_program(&self.layout(layout).join(name)));
        let maps = pinned.iter().flat_map(|(_, maps)| maps.clone()).collect();
        [pinned.iter().map(|(program, _)| *program).collect(), maps]
    }

    /// All links to the cgroups: cgroup, hook and program.
    fn links(&self) -> Vec<(u64, String, u64)> {
        let ids: BTreeSet<u64> = self.cgroups.values().map(Cgroup::id).collect();
        let of = |link: &Value| {
            let cgroup = link["cgroup_id"].as_u64().filter(|id| ids.contains(id))?;
            Some((cgroup, link["attach_type"].as_str()?.to_owned(), link["prog_id"].as_u64()?))
        };
        let mut links: Vec<_> = list("link").iter().filter_map(of).collect();
        links.sort();
        links
    }

    fn layout(&self, layout: Layout) -> PathBuf {
        self.host.bpffs.path().join("keepalive").join(layout.name())
    }

    fn expected(&self, layout: Layout, edition: Edition) -> BTreeSet<String> {
        let mut entries: BTreeSet<String> = ["keepalive", "keepalive/holder"].map(str::to_owned).into();
        let top = format!("keepalive/{}", layout.name());
        let maps = ["maps", "maps/CLAIMS", "maps/COUNTERS", "maps/DESTINATIONS", "maps/POLICY"];
        let inside = ["program", "guard_program", "cgroups"].into_iter().chain(maps);
        entries.extend(inside.map(|name| format!("{top}/{name}")));
        for (path, more, _) in CGROUPS.iter().filter(|(path, ..)| edition.governs(path)) {
            let pins = format!("{top}/cgroups/{}-{}", path.replace('/', ":"), self.cgroups[path].id());
            entries.extend([format!("{pins}/link"), format!("{pins}/cgroup -> {path}")]);
            entries.insert(format!("{pins}/policy -> {}", path.replace('/', "-")));
            if more.contains("Enforce") {
                entries.insert(format!("{pins}/guard"));
            }
            entries.insert(pins);
        }
        entries.insert(top);
        entries
    }
}

/// All that is pinned, but for what a sweeper notes in its own time, and what is the kernel's own.
pub(super) fn pinned(host: &Host) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(host.bpffs.path(), "", &mut found);
    found.retain(|entry| !entry.contains("swept -> ") && !entry.ends_with(".debug"));
    found
}

/// Notes what is below a directory, with the targets of links; of the note of who holds the pins that it is there.
fn walk(directory: &Path, above: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = format!("{above}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{name}/"), found);
        }
        let target = fs::read_link(entry.path()).ok().filter(|_| !name.ends_with("holder"));
        found.insert(target.map_or_else(|| name.clone(), |target| format!("{name} -> {}", target.display())));
    }
}
