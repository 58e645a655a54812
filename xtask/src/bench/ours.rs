//! The daemon's programs and policies, made by the daemon, and then attached without it: within a moment, and for a moment.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{Bench, kernel::Program};
use crate::{lab::Cgroup, process, soak::site::Site};

/// What the names of our own begin with.
pub(super) const OURS: &str = "ours";

/// Where the daemon pins, below its bpffs.
const PINS: &str = "keepalive";

/// How the names begin of the programs that look at connections as they end, of which one is there for as long as the
/// daemon runs.
const CLOSING: &str = "closing";

/// What the daemon logs if it cannot be.
const NO_CLOSING: &str = "cannot be counted";

/// Between two looks for it, and for how long.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

/// What `probe` calls reading options in a program.
const READING: &str = "read options back";

/// A policy, of one cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) mode: &'static str,
    /// How many rules for destinations it has; the last of them is for those that are measured.
    pub(super) rules: usize,
}

impl Policy {
    /// What the tables call it.
    pub(super) fn name(self) -> String {
        let rules = match self.rules {
            0 => String::new(),
            1 => ", 1 rule".to_owned(),
            rules => format!(", {rules} rules"),
        };
        format!("{OURS}, {}{rules}", self.mode)
    }

    /// What its cgroup is called.
    fn cgroup(self) -> String {
        format!("{}-{}", self.mode.to_lowercase(), self.rules)
    }

    fn document(self) -> String {
        let name = self.cgroup();
        let destinations = match self.rules {
            0 => String::new(),
            rules => {
                let others =
                    (1..rules).map(|rule| format!("{{cidr: 10.{rule}.0.0/16, ports: [{}]}}", 1000 + rule));
                let all: Vec<_> = others.chain(["{cidr: 127.0.0.0/8}".to_owned()]).collect();
                format!("  destinations: [{}]\n", all.join(", "))
            }
        };
        format!(
            "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\nspec:\n  \
             cgroups: [{name}]\n  mode: {}\n  keepalive: {{idle: 60s, interval: 15s, probes: 4}}\n{destinations}",
            self.mode
        )
    }
}

/// The programs, and the cgroups in whose storage their policies are.
pub(super) struct Ours {
    pub(super) keepalive: Program,
    /// Where a policy enforces.
    pub(super) guard: Option<Program>,
    pub(super) closing: Option<Program>,
    /// One for each policy.
    pub(super) cgroups: Vec<Cgroup>,
    /// Last, because it has what the rest stands on.
    pub(super) site: Site,
}

impl Ours {
    /// Has a daemon put the policies in force, and ends it; nothing is attached then. The storage of a cgroup stays, with
    /// the policy that is in it, as long as the program has its map.
    pub(super) fn prepare(bench: &Bench, policies: &[Policy]) -> Result<Self> {
        let site = Site::new(&bench.daemon)?;
        let cgroups: Result<Vec<_>> = policies.iter().map(|policy| site.cgroup(&policy.cgroup())).collect();
        let documents: Vec<_> = policies.iter().map(|policy| policy.document()).collect();
        site.write_policy("bench", Some(&documents.join("---\n")))?;
        // It is ready when all policies that it finds are in force.
        site.restart()?;
        site.check()?;
        let pins = layout(&site.bpffs.path().join(PINS))?;
        let keepalive = Program::pinned(&pins.join("program"))?;
        let enforces = policies.iter().any(|policy| policy.mode == "Enforce");
        let guard = enforces.then(|| Program::pinned(&pins.join("guard_program"))).transpose()?;
        let closing = wait_closing(bench, &site)?;
        site.stop()?;
        let top = site.bpffs.path().join(PINS);
        fs::remove_dir_all(&top).with_context(|| format!("cannot remove {}", top.display()))?;
        Ok(Self { keepalive, guard, closing, cgroups: cgroups?, site })
    }
}

/// Whether programs can read options here, as the daemon finds by trying.
pub(super) fn can_read_options(bench: &Bench, site: &Site) -> Result<bool> {
    let mut command = Command::new(&bench.daemon);
    command.args(["probe", "-o", "json", "--bpffs"]).arg(site.bpffs.path());
    let found = process::output(command.arg("--cgroup-root").arg(site.root.path()))?;
    let found: serde_json::Value = serde_json::from_str(&found).context("`probe` prints no JSON")?;
    let features = found["features"].as_array().context("`probe` lists no features")?;
    let reading = features.iter().find(|feature| feature["name"] == READING);
    let present = reading.and_then(|reading| reading["present"].as_bool());
    present.with_context(|| format!("`probe` says nothing of `{READING}`"))
}

/// The directory of the one layout that there is.
fn layout(top: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(top).with_context(|| format!("cannot list {}", top.display()))?;
    let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    paths
        .find(|path| path.is_dir())
        .with_context(|| format!("the daemon pinned nothing in {}", top.display()))
}

/// The daemon loads it when it has nothing better to do; where the kernel tells too little for it, it says so.
fn wait_closing(bench: &Bench, site: &Site) -> Result<Option<Program>> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        bench.go_on()?;
        let found = find_closing(site.pid()?)?;
        if found.is_some() || site.log_tail().contains(NO_CLOSING) {
            return Ok(found);
        }
        bench.stop.within(LOOK);
    }
    bail!("the daemon did not load a program {CLOSING}, and does not say why")
}

/// Among the programs that the daemon holds.
fn find_closing(pid: u32) -> Result<Option<Program>> {
    let directory = PathBuf::from(format!("/proc/{pid}/fdinfo"));
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        // One that was closed meanwhile is none of those that it keeps.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let Some(id) = program_id(&text) else { continue };
        let program = Program::numbered(id)?;
        if program.name()?.starts_with(CLOSING) {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

fn program_id(fdinfo: &str) -> Option<u32> {
    fdinfo.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_as_many_rules_as_it_says_and_the_last_is_for_what_is_measured() {
        let rules = |rules| Policy { mode: "Tighten", rules }.document().matches("cidr").count();

        assert_eq!([rules(0), rules(1), rules(64)], [0, 1, 64]);
        let document = Policy { mode: "FillMissing", rules: 64 }.document();
        assert!(document.contains("{cidr: 10.63.0.0/16, ports: [1063]}, {cidr: 127.0.0.0/8}]"), "{document}");
        assert!(document.contains("cgroups: [fillmissing-64]"), "{document}");
    }

    #[test]
    fn the_program_of_a_descriptor_is_read() {
        assert_eq!(program_id("pos:\t0\nlink_type:\ttracing\nlink_id:\t7\nprog_id:\t41\n"), Some(41));
        assert_eq!(program_id("pos:\t0\nmap_id:\t3\n"), None);
    }
}
