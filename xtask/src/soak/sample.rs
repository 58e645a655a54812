//! What is measured, every few seconds: of the daemon by `/proc`, of the kernel by bpftool.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use nix::{time::clock_getcpuclockid, unistd::Pid};
use serde::Serialize;
use serde_json::Value;

use super::{ledger::Window, site::Site};
use crate::process;

/// How often bpftool is asked, which gives up when an object goes away under it.
const ATTEMPTS: u32 = 20;

/// All that is measured at one time; absent is what did not happen since the time before.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sample {
    pub(super) at_s: f64,
    pub(super) resident_kib: f64,
    /// Of these, such as are not pages of a file.
    pub(super) anonymous_kib: f64,
    pub(super) descriptors: f64,
    pub(super) threads: f64,
    pub(super) watches: f64,
    pub(super) cpu_percent: f64,
    pub(super) links: f64,
    pub(super) programs: f64,
    pub(super) maps: f64,
    pub(super) pins: f64,
    pub(super) machine_ms: Option<f64>,
    pub(super) new_cgroup_ms: Option<f64>,
    pub(super) new_cgroup_p99_ms: Option<f64>,
    pub(super) change_ms: Option<f64>,
    pub(super) sweep_ms: Option<f64>,
    pub(super) health_ms: Option<f64>,
    pub(super) health_p99_ms: Option<f64>,
}

/// Measures again and again.
pub(super) struct Sampler {
    start: Instant,
    /// When the CPU time was read, of which process, and what it was.
    cpu: Option<(Instant, u32, Duration)>,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), cpu: None }
    }

    /// Measures, and adds what happened since it was called before.
    pub(super) fn take(&mut self, site: &Site, window: Window) -> Result<Sample> {
        let pid = site.pid()?;
        let process = Path::new("/proc").join(pid.to_string());
        let [resident_kib, anonymous_kib, threads] = of_status(pid, ["VmRSS:", "RssAnon:", "Threads:"])?;
        let held = Held::of(&process)?;
        let objects = Objects::of(site, &held)?;
        let [new_cgroup, change, sweep, health, machine] =
            [window.newcomers, window.changes, window.sweeps, window.health, window.connected]
                .map(Latencies::of);
        Ok(Sample {
            at_s: self.start.elapsed().as_secs_f64(),
            resident_kib,
            anonymous_kib,
            descriptors: held.descriptors,
            threads,
            watches: held.watches,
            cpu_percent: self.cpu_percent(pid)?,
            links: objects.links,
            programs: objects.programs,
            maps: objects.maps,
            pins: count_files(site.bpffs.path())?,
            machine_ms: machine.at(50),
            new_cgroup_ms: new_cgroup.at(50),
            new_cgroup_p99_ms: new_cgroup.at(99),
            change_ms: change.at(50),
            sweep_ms: sweep.at(50),
            health_ms: health.at(50),
            health_p99_ms: health.at(99),
        })
    }

    /// Of one CPU, since it was asked before; of a process that began since, since then.
    fn cpu_percent(&mut self, pid: u32) -> Result<f64> {
        let used = cpu_time(pid)?;
        let now = Instant::now();
        let (since, before) = match self.cpu.replace((now, pid, used)) {
            Some((at, of, before)) if of == pid => (at, before),
            Some((at, ..)) => (at, Duration::ZERO),
            None => (self.start, Duration::ZERO),
        };
        Ok(100.0 * used.saturating_sub(before).as_secs_f64() / (now - since).as_secs_f64().max(0.001))
    }
}

/// How long a process has had a CPU.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let raw = i32::try_from(pid).context("a process id beyond the kernel's range")?;
    let clock = clock_getcpuclockid(Pid::from_raw(raw)).context("cannot find the daemon's CPU clock")?;
    Ok(Duration::from(clock.now().context("cannot read the daemon's CPU clock")?))
}

/// The numbers that `/proc/PID/status` has behind these names; memory in KiB.
pub(crate) fn of_status<const N: usize>(pid: u32, names: [&str; N]) -> Result<[f64; N]> {
    let status = read(&Path::new("/proc").join(pid.to_string()).join("status"))?;
    let mut numbers = [0.0; N];
    for (found, name) in numbers.iter_mut().zip(names) {
        *found = number(&status, name).with_context(|| format!("no {name} of {pid}"))?;
    }
    Ok(numbers)
}

/// Times of one kind.
struct Latencies(Vec<Duration>);

impl Latencies {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that so many of a hundred do not exceed, in milliseconds.
    fn at(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map(|time| 1000.0 * time.as_secs_f64())
    }
}

/// What the daemon holds open.
#[derive(Debug, Default)]
struct Held {
    descriptors: f64,
    watches: f64,
    programs: BTreeSet<u64>,
    maps: BTreeSet<u64>,
}

impl Held {
    fn of(process: &Path) -> Result<Self> {
        let mut held = Self::default();
        let folder = process.join("fdinfo");
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            // One that was closed meanwhile is not held.
            let Ok(text) = fs::read_to_string(path) else { continue };
            held.descriptors += 1.0;
            for line in text.lines() {
                match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
                    ["inotify", ..] => held.watches += 1.0,
                    ["prog_id:", id] => held.programs.extend(id.parse::<u64>()),
                    ["map_id:", id] => held.maps.extend(id.parse::<u64>()),
                    _ => {}
                }
            }
        }
        Ok(held)
    }
}

/// How many eBPF objects are there because of this daemon: the programs that it holds or that are attached in its
/// cgroups, the links to these, and the maps of these.
struct Objects {
    links: f64,
    programs: f64,
    maps: f64,
}

impl Objects {
    fn of(site: &Site, held: &Held) -> Result<Self> {
        let mut cgroups = BTreeSet::new();
        collect_ids(site.root.path(), &mut cgroups);
        let links = list("link")?;
        let attached =
            links.iter().filter(|link| id(link, "cgroup_id").is_some_and(|id| cgroups.contains(&id)));
        let mut programs = held.programs.clone();
        programs.extend(attached.filter_map(|link| id(link, "prog_id")));
        let ours = |object: &Value, key| id(object, key).is_some_and(|id| programs.contains(&id));
        let mut maps = held.maps.clone();
        for program in list("prog")?.iter().filter(|program| ours(program, "id")) {
            maps.extend(program["map_ids"].as_array().into_iter().flatten().filter_map(Value::as_u64));
        }
        Ok(Self {
            links: links.iter().filter(|link| ours(link, "prog_id")).map(|_| 1.0).sum(),
            programs: programs.iter().map(|_| 1.0).sum(),
            maps: maps.iter().map(|_| 1.0).sum(),
        })
    }
}

fn id(object: &Value, key: &str) -> Option<u64> {
    object[key].as_u64()
}

/// The kernel's ids of a cgroup and of those below it, some of which may go meanwhile.
fn collect_ids(path: &Path, ids: &mut BTreeSet<u64>) {
    ids.extend(fs::metadata(path).map(|found| found.ino()));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_ids(&entry.path(), ids);
        }
    }
}

/// How many pins there are; what goes away meanwhile is not there.
fn count_files(folder: &Path) -> Result<f64> {
    let mut count = 0.0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?.flatten()
    {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => count += count_files(&entry.path()).unwrap_or_default(),
            Ok(_) => count += 1.0,
            Err(_) => {}
        }
    }
    Ok(count)
}

/// All objects of a kind.
fn list(kind: &str) -> Result<Vec<Value>> {
    let bpftool = process::find("bpftool").context("there is no bpftool: run `cargo xtask setup`")?;
    let mut last = anyhow!("it was not asked");
    for _ in 0..ATTEMPTS {
        // In a group of its own, so that Ctrl-C does not end it.
        match process::output(Command::new(&bpftool).args(["-j", kind, "show"]).process_group(0)) {
            Ok(text) if text.trim().is_empty() => return Ok(Vec::new()),
            Ok(text) => return serde_json::from_str(&text).context("bpftool prints no JSON"),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The number after a name: `VmRSS:     5120 kB`.
fn number(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let latencies = Latencies::of((1..=200).rev().map(Duration::from_millis).collect());

        assert_eq!([latencies.at(50), latencies.at(99)], [Some(100.0), Some(198.0)]);
        assert_eq!(Latencies::of(vec![Duration::from_millis(7)]).at(99), Some(7.0));
        assert_eq!(Latencies::of(Vec::new()).at(50), None);
    }

    #[test]
    fn numbers_of_proc_are_found_by_their_names() {
        assert_eq!(number("VmPeak:\t 9 kB\nVmRSS:\t    5120 kB\n", "VmRSS:"), Some(5120.0));
        assert_eq!(number("Threads:\t4\n", "VmRSS:"), None);
    }
}
