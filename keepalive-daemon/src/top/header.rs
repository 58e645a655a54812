//! What is said above the list.

use super::cgroups::Counted;
use crate::report::{
    printable,
    status::{Daemon, Status, plural},
};

/// A few lines about the whole.
#[derive(Default)]
pub(super) struct Header {
    /// Who answered, and how it does; empty until somebody did.
    who: String,
    totals: String,
    /// What somebody should look at.
    troubles: Vec<String>,
    /// Why nothing newer is shown.
    lost: Option<String>,
}

impl Header {
    /// A picture came.
    pub(super) fn well(&mut self, status: &Status, before: Option<&Counted>, counted: &Counted) {
        let established: u64 = status.cgroups.iter().map(|cgroup| cgroup.counters.established()).sum();
        let armed: u64 = status.cgroups.iter().map(|cgroup| cgroup.counters.armed()).sum();
        let rate =
            before.map_or_else(String::new, |before| format!(" ({:.1}/s)", counted.whole_rate(before)));
        let governed = plural(status.cgroups.len(), "cgroup");
        *self = Self {
            who: printable(&who(status)),
            totals: format!("{governed}, {established} connections{rate}, {armed} armed"),
            troubles: troubles(status),
            lost: None,
        };
    }

    /// None came; what is known stays.
    pub(super) fn lost(&mut self, trouble: String) {
        self.lost = Some(printable(&trouble));
    }

    /// Who answered.
    pub(super) fn who(&self) -> &str {
        match (&*self.who, &self.lost) {
            ("", None) => "asking the daemon\u{2026}",
            ("", Some(_)) => "no answer yet",
            (who, _) => who,
        }
    }

    pub(super) fn totals(&self) -> &str {
        &self.totals
    }

    /// What somebody should look at, the most urgent first.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &str> {
        self.lost.iter().chain(&self.troubles).map(String::as_str)
    }
}

fn who(status: &Status) -> String {
    let Some(Daemon { version, pid, ready, .. }) = &status.daemon else {
        return format!("{}; what is pinned is in force", status.nobody);
    };
    let state = if *ready { "ready" } else { "not ready" };
    format!("daemon {version} (pid {pid}): {state}")
}

fn troubles(status: &Status) -> Vec<String> {
    let Some(daemon) = &status.daemon else { return Vec::new() };
    let unfinished = (!daemon.ready).then(|| format!("has yet to: {}", daemon.unfinished.join("; ")));
    let policies = daemon.policy_error.as_ref().map(|error| format!("the policies cannot be used: {error}"));
    let runtime = daemon.runtime.as_ref().and_then(|runtime| runtime.trouble.as_ref());
    let runtime = runtime.map(|trouble| format!("container runtime: {trouble}"));
    let sweeping = daemon.sweeping.trouble.as_ref();
    let sweeping = sweeping.map(|trouble| format!("open connections cannot be swept: {trouble}"));
    let helping = daemon.helping.trouble.as_ref();
    let helping = helping.map(|trouble| format!("dead peers cannot be counted: {trouble}"));
    let annotations = status.annotations.iter().map(|it| {
        let annotation = it.annotation.as_deref().unwrap_or_default();
        format!("not followed: pod {}: {annotation}: {}", it.pod, it.reason)
    });
    let all = [unfinished, policies, runtime, sweeping, helping].into_iter().flatten().chain(annotations);
    all.map(|trouble| printable(&trouble)).collect()
}
