//! A sweep that somebody asked for and waits for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use keepalive_ebpf::{Outcome, Sweep, Swept};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    name,
    queue::Job,
    tally::{Tally, is_change},
    worker::Seen,
};
use crate::report::{
    applied::{Applied, Totals},
    sweep::{SweptSocket, SweptSockets},
};

/// The most connections that an answer lists: some megabytes.
const MOST_ROWS: usize = 10_000;

/// Where the answer goes, or why there is none; with the right to ask, of which there are few.
pub(crate) struct Asker {
    pub(crate) reply: oneshot::Sender<Result<Applied, String>>,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// A sweep that somebody waits for.
pub(crate) struct Manual {
    asker: Asker,
    /// With the path of each governing cgroup.
    jobs: BTreeMap<u64, (String, Job)>,
    dry_run: bool,
    rows: Vec<SweptSocket>,
    /// Connections that are not listed.
    more: u64,
    seen: HashSet<u64>,
    totals: Totals,
    /// Why cgroups could not be swept.
    failures: BTreeSet<String>,
}

impl Manual {
    pub(crate) fn new(asker: Asker, jobs: BTreeMap<u64, (String, Job)>, dry_run: bool) -> Self {
        let (rows, seen, failures) = (Vec::new(), HashSet::new(), BTreeSet::new());
        Self { asker, jobs, dry_run, rows, more: 0, seen, totals: Totals::default(), failures }
    }

    pub(super) fn jobs(&self) -> Vec<(u64, Job)> {
        self.jobs.iter().map(|(id, (_, job))| (*id, job.clone())).collect()
    }

    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.asker.reply.is_closed()
    }

    /// The cgroups that it is about: governed ones, and those whose connections they govern.
    pub(super) fn cgroups(&self) -> BTreeSet<u64> {
        let members = self.jobs.values().flat_map(|(_, job)| &job.members);
        self.jobs.keys().chain(members).copied().collect()
    }

    /// Whether it is about this one.
    pub(super) fn concerns(&self, id: u64) -> bool {
        self.jobs.contains_key(&id) || self.jobs.values().any(|(_, job)| job.members.contains(&id))
    }

    /// Lists a connection if it was, or would be, changed.
    pub(super) fn heard(&mut self, swept: &Swept) {
        let is_listed =
            is_change(swept.outcome) || matches!(swept.outcome, Outcome::WouldArm | Outcome::WouldTighten);
        let Some((path, _)) = self.jobs.get(&swept.governor).filter(|_| is_listed) else { return };
        if !self.seen.insert(swept.cookie) {
            return;
        }
        if self.rows.len() < MOST_ROWS {
            self.rows.push(SweptSocket { cgroup: Some(path.clone()), ..SweptSocket::from(swept) });
        } else {
            self.more += 1;
        }
    }

    /// Adds up what came of one cgroup.
    pub(super) fn done(&mut self, id: u64, tally: &Tally) {
        let is_only_counted = self.jobs.get(&id).is_some_and(|(_, job)| job.is_only_counted);
        self.totals.add(tally, is_only_counted);
    }

    /// Takes note of why some of it cannot be done.
    pub(super) fn failed(&mut self, reason: String) {
        self.failures.insert(reason);
    }

    /// Answers; that it cannot be done, if nothing was.
    pub(super) fn finish(self, last: Option<Seen>) {
        if let (None, Some(reason)) = (&last, self.failures.first()) {
            let reason = reason.clone();
            return self.refuse(&reason);
        }
        let failures = self.failures.into_iter().map(|reason| ("some cgroups".to_owned(), reason));
        let answer = Applied {
            method: last.as_ref().map(|pass| name(pass.method).to_owned()),
            cgroups: self.jobs.len(),
            totals: self.totals,
            not_accepted: last.as_ref().map_or(0, |pass| pass.pending),
            unreachable: last
                .into_iter()
                .flat_map(|pass| pass.unreachable)
                .chain(failures)
                .map(|(name, why)| format!("{name}: {why}"))
                .collect(),
            connections: SweptSockets { dry_run: self.dry_run, sockets: self.rows },
            more: self.more,
        };
        // Whoever asked may have gone away.
        let _ = self.asker.reply.send(Ok(answer));
    }

    /// Answers that it cannot be done.
    pub(crate) fn refuse(self, reason: &str) {
        let _ = self.asker.reply.send(Err(format!("cannot sweep the open connections: {reason}")));
    }
}

/// What to do for whoever asks.
pub(crate) const fn kind(dry_run: bool) -> Sweep {
    if dry_run { Sweep::Tell } else { Sweep::Apply }
}
