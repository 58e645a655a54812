//! A lot of cgroups, and what is done with all of them, once by the daemon and once by the bare loop.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{bench::Bench, process, soak::site::Site};

/// How long a policy file has to be left alone before the daemon reads it.
const REST: Duration = Duration::from_millis(50);

/// What the daemon took, in milliseconds.
pub(super) struct Ours {
    /// From its start to ready.
    pub(super) govern: f64,
    pub(super) change: f64,
    /// From its start to ready.
    pub(super) adopt: f64,
    pub(super) cleanup: f64,
}

/// What the bare loop took, in milliseconds.
pub(super) struct Bare {
    /// The daemon's start with nothing to govern.
    pub(super) start: f64,
    pub(super) govern: f64,
    pub(super) change: f64,
    pub(super) adopt: f64,
    pub(super) release: f64,
}

/// The cgroups, with a daemon and with what the bare loop needs.
pub(super) struct Lot {
    site: Site,
    /// Another, without cgroups: its daemon makes the program and the maps that the bare loop uses.
    other: Site,
    /// The program in C.
    bare: PathBuf,
    size: u32,
    /// Counts up, so that each policy is another.
    changes: u32,
}

impl Lot {
    /// Of no cgroups yet.
    pub(super) fn new(bench: &Bench) -> Result<Self> {
        let bare = bare_loop(bench)?;
        let prepare = || Site::prepare(&bench.daemon, &[]);
        Ok(Self { site: prepare()?, other: prepare()?, bare, size: 0, changes: 0 })
    }

    /// Makes cgroups until there are so many.
    pub(super) fn grow_to(&mut self, size: u32) -> Result<()> {
        for number in self.size..size {
            let path = self.site.root.path().join(format!("c{number}"));
            fs::create_dir(&path).with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        }
        self.size = size;
        Ok(())
    }

    /// Has the daemon do everything, and makes sure that the kernel has what it says.
    pub(super) fn ours(&mut self) -> Result<Ours> {
        self.write_policy()?;
        let govern = self.site.start()?;
        self.check_governed("started")?;

        let mark = self.site.mark()?;
        let told = Instant::now();
        self.write_policy()?;
        let changed = self.site.wait_log(mark, "changed the policy", usize::try_from(self.size)?)?;

        let adopt = self.site.restart()?;
        self.check_governed("started again")?;
        self.site.check()?;
        self.site.stop()?;
        let begun = Instant::now();
        self.site.cleanup()?;
        Ok(Ours {
            govern: milliseconds(govern),
            change: milliseconds(changed.at.saturating_duration_since(told).saturating_sub(REST)),
            adopt: milliseconds(adopt),
            cleanup: milliseconds(begun.elapsed()),
        })
    }

    /// Has the bare loop do everything, with a fresh program and fresh maps, as the daemon.
    pub(super) fn bare(&mut self) -> Result<Bare> {
        let start = self.other.start()?;
        self.other.stop()?;
        let layout = layout(self.other.bpffs.path())?;
        let pins = self.other.bpffs.path().join("bare");
        fs::create_dir(&pins).with_context(|| format!("cannot make {}", pins.display()))?;
        let run = |verb: &str| self.run(verb, &layout, &pins);
        let took = |verb: &str| run(verb).map(|nanoseconds| nanoseconds / 1e6);

        let govern = took("govern")?;
        let governed = run("count")?;
        ensure!(
            governed.total_cmp(&f64::from(self.size)).is_eq(),
            "the bare loop governs {governed} cgroups"
        );
        let (change, adopt, release) = (took("change")?, took("adopt")?, took("release")?);
        fs::remove_dir(&pins).with_context(|| format!("cannot remove {}", pins.display()))?;
        self.other.cleanup()?;
        Ok(Bare { start: milliseconds(start), govern, change, adopt, release })
    }

    /// Whether all have the program and a policy, as the kernel tells.
    fn check_governed(&self, when: &str) -> Result<()> {
        let bpffs = self.site.bpffs.path();
        let governed = self.run("count", &layout(bpffs)?, bpffs)?;
        let size = self.size;
        ensure!(
            governed.total_cmp(&f64::from(size)).is_eq(),
            "when it had {when}, the daemon governed {governed} cgroups of {size}"
        );
        Ok(())
    }

    fn run(&self, verb: &str, layout: &Path, pins: &Path) -> Result<f64> {
        let mut command = Command::new(&self.bare);
        command.arg(verb).arg(self.site.root.path()).arg(self.size.to_string());
        command.arg(layout.join("program")).arg(layout.join("maps/POLICY")).arg(pins);
        let printed = process::output(&mut command)?;
        printed.trim().parse().with_context(|| format!("the bare loop printed {printed:?}"))
    }

    fn write_policy(&mut self) -> Result<()> {
        self.changes += 1;
        let idle = 60 + self.changes % 1000;
        let text = format!(
            "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: all}}\nspec:\n  \
             cgroups: [\"c*\"]\n  keepalive: {{idle: {idle}s, interval: 15s, probes: 4}}\n"
        );
        self.site.write_policy("all", Some(&text))
    }
}

/// The program in C.
pub(in crate::bench) fn bare_loop(bench: &Bench) -> Result<PathBuf> {
    bench.tools.program("bare", include_str!("bare.c"))
}

/// Where a daemon keeps its program and its maps.
pub(in crate::bench) fn layout(bpffs: &Path) -> Result<PathBuf> {
    let top = bpffs.join("keepalive");
    let entries = fs::read_dir(&top).with_context(|| format!("cannot list {}", top.display()))?;
    let found = entries.flatten().map(|entry| entry.path()).find(|path| path.join("program").exists());
    found.with_context(|| format!("no program is pinned in {}", top.display()))
}

pub(in crate::bench) fn milliseconds(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}
