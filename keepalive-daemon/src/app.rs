//! The daemon: what starts in which order, the one loop that everything that happens goes through, and how it
//! ends.

mod answering;
mod start;

use std::{mem, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until},
};
use tracing::{error, warn};

pub(crate) use start::{Config, run};

use crate::{
    allocator::give_back,
    api::Question,
    governor::{Cause, Governor},
    helped::Helped,
    journal::{Event, Journal, Kind},
    kernel::waiting,
    metrics::{self, Reconciles},
    policy::{Limits, PolicySet, directory},
    policy_files::{PolicyFiles, Reread},
    readiness::{Readiness, Task},
    sweeper::{self, Sweeps},
    this_kernel,
    workloads::{Change, Changes, Node},
};

/// How often the tree and the pins are read from scratch: a backstop for what gives no event (a foreign
/// program detached from a cgroup that refused us, a link detached by hand) and costs some milliseconds a
/// thousand cgroups.
const RESYNC: Duration = Duration::from_secs(60);

/// How long after a cgroup came or went, at most, those know of it who look at all that are governed: who sweeps open
/// connections, of which a new one has none, and who finds dead peers. So they look twice a second while cgroups come and
/// go, not each time. Less than the sweeper waits for whom it heard to change something.
const FOLLOW: Duration = Duration::from_millis(500);

struct Daemon {
    directory: PathBuf,
    limits: Limits,
    /// The policies in force; absent until they could be read once. Until then nothing that an earlier run
    /// left attached is touched.
    policies: Option<PolicySet>,
    policy_error: Option<String>,
    files: PolicyFiles,
    node: Node,
    governor: Governor,
    sweeps: Sweeps,
    helped: Helped,
    /// When these two are to know of what was governed since they looked.
    unfollowed: Option<Instant>,
    readiness: Readiness,
    reconciles: Reconciles,
    /// Of metrics of single cgroups.
    labels: Vec<metrics::Label>,
    /// What happened.
    journal: Journal,
    /// Whether more memory was needed, at times, than what goes on needs.
    is_untidy: bool,
    /// Whether somebody was told that policies for pods govern nothing.
    told_of_lack: bool,
    told_of_waiting: waiting::Told,
    /// Why what is attached could not be read back.
    pins_trouble: Option<String>,
}

impl Daemon {
    /// Follows everything that can change what should be, until a signal says to stop.
    async fn follow(
        &mut self,
        questions: &mut mpsc::Receiver<Question>,
        asked: &mut mpsc::Receiver<metrics::Question>,
        swept: &mut mpsc::UnboundedReceiver<sweeper::Event>,
    ) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
        let mut resync = interval_at(Instant::now() + RESYNC, RESYNC);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.reload(Reread::Changed);
        self.reconcile(Cause::Start).await?;
        tell_systemd();
        let count = sleep(Duration::ZERO);
        tokio::pin!(count);
        loop {
            tokio::select! {
                changed = self.node.changed() => self.reconcile(match changed? {
                    Change::Cgroups => Cause::Cgroups,
                    Change::Pods => Cause::Pods,
                }).await?,
                changed = self.files.changed() => {
                    self.reload(changed?);
                    self.reconcile(Cause::Policies).await?;
                }
                _ = hangup.recv() => {
                    self.reload(Reread::Changed);
                    self.reconcile(Cause::Policies).await?;
                    self.resync().await?;
                }
                _ = resync.tick() => self.resync().await?,
                () = &mut count => {
                    count.as_mut().reset(Instant::now() + self.governor.count());
                    self.journal.settle();
                    self.told_of_waiting.tell();
                    if mem::take(&mut self.is_untidy) {
                        give_back();
                    }
                }
                () = sleep_until(self.unfollowed.unwrap_or_else(Instant::now)), if self.unfollowed.is_some() => {
                    self.catch_up();
                }
                Some(question) = questions.recv() => {
                    self.catch_up();
                    self.answer(question);
                }
                Some(question) = asked.recv() => self.tell(question),
                Some(event) = swept.recv() => self.sweeps.happened(event, &mut self.governor),
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    /// Reads the policies; keeps those in force if the new ones cannot be used.
    fn reload(&mut self, why: Reread) {
        let limits = Limits { kernel: this_kernel::options(), ..self.limits.clone() };
        match directory::load(&self.directory, &limits) {
            Ok(policies) => {
                self.journal.push(Event {
                    policies: Some(policies.len()),
                    directory: Some(self.directory.display().to_string()),
                    ..Event::new(Kind::PoliciesRead)
                });
                for unmatched in policies.unmatched(self.node.cgroups().keys().map(String::as_str)) {
                    warn!(
                        policy = %unmatched.policy, glob = unmatched.glob, at = %unmatched.source,
                        "no cgroup matches; the policy takes effect as soon as one does"
                    );
                }
                if policies.selects_pods() && !self.node.has_runtime() {
                    warn!(
                        "policies select pods, and --cri-socket is `none`: name the runtime's socket, or they govern nothing"
                    );
                }
                self.policies = Some(policies);
                self.policy_error = None;
                self.readiness.done(Task::ReadPolicies);
            }
            Err(error) => {
                // With what the system said.
                let reason = Some(format!("{:#}", anyhow::Error::new(error)));
                if why == Reread::Changed || self.policy_error != reason {
                    self.journal.push(Event {
                        policies: self.policies.as_ref().map(PolicySet::len),
                        reason: reason.clone(),
                        ..Event::new(Kind::PoliciesRefused)
                    });
                }
                self.policy_error = reason;
                self.files.retry();
                self.readiness.reopen(Task::ReadPolicies);
            }
        }
    }

    async fn reconcile(&mut self, cause: Cause) -> Result<()> {
        self.readiness.set(Task::ReadCgroups, self.node.is_tree_read());
        self.readiness.set(Task::ReadPins, self.pins_trouble.is_none());
        let Some(policies) = &self.policies else { return Ok(()) };
        let selects_pods = policies.selects_pods();
        let began = Instant::now();
        let changes = self.node.take_changes();
        let (cgroups, pods) = (self.node.cgroups(), self.node.pods());
        let part = match (cause, changes) {
            (Cause::Cgroups | Cause::Pods, Changes::Only { made, gone }) => {
                self.governor.part(made, gone, cgroups)
            }
            _ => None,
        };
        let is_part = part.is_some();
        let in_force = if let Some(part) = part {
            self.governor.reconcile_part(policies, &part, pods, cause)
        } else {
            self.is_untidy = true;
            let rules = self.sweeps.rules_in_use();
            self.governor.reconcile(policies, cgroups, pods, rules, cause)
        };
        self.reconciles.observe(began.elapsed());
        // Only of what comes and goes may those know later: not of another policy where connections are.
        if is_part && cause == Cause::Cgroups {
            self.unfollowed.get_or_insert_with(|| Instant::now() + FOLLOW);
        } else {
            if !is_part {
                // A cgroup that was made before what is above it came to be governed: its connections are to be swept, and
                // its event is there by now.
                self.node.catch_up().await?;
            }
            self.follow_governed(cause);
        }
        if selects_pods && self.node.lacks_runtime() && !self.told_of_lack {
            self.told_of_lack = true;
            warn!(
                "policies select pods, and no container runtime is found that tells of any: start it, or name its \
                 socket with --cri-socket"
            );
        }
        if self.node.pods().is_some() || !selects_pods {
            self.readiness.done(Task::LearnPods);
            if in_force {
                self.readiness.done(Task::GovernCgroups);
            }
        }
        Ok(())
    }

    /// Has those know what is governed now who need not know at once.
    fn follow_governed(&mut self, cause: Cause) {
        self.unfollowed = None;
        let (cgroups, pods) = (self.node.cgroups(), self.node.pods());
        self.sweeps.follow(&mut self.governor, cgroups, cause);
        self.helped.follow(&self.governor, cgroups, pods);
    }

    /// The same, if they do not know yet.
    fn catch_up(&mut self) {
        if self.unfollowed.is_some() {
            self.follow_governed(Cause::Cgroups);
        }
    }

    /// Reads the tree and the pins from scratch, whatever the events said.
    async fn resync(&mut self) -> Result<()> {
        self.files.watch_again();
        self.node.scan()?;
        match self.governor.refresh(self.node.cgroups()) {
            Ok(()) => self.pins_trouble = None,
            Err(error) => {
                let trouble = format!("cannot read back what is attached: {error:#}");
                if self.pins_trouble.as_ref() != Some(&trouble) {
                    error!("{trouble}");
                }
                self.pins_trouble = Some(trouble);
            }
        }
        self.reconcile(Cause::Resync).await?;
        self.governor.warn_if_blind();
        if let Some(policies) = &self.policies {
            let names = self.governor.forget_gone(self.node.cgroups(), policies);
            self.helped.retain_policies(|name| names.contains(name));
        }
        // Lists and sweeps needed some since.
        self.is_untidy = true;
        Ok(())
    }
}

/// Tells systemd, if it started the daemon, that the first pass is done. What that could not do is for `status`
/// to show: a unit that is never ready would be killed, and with it the work on all other cgroups.
fn tell_systemd() {
    if let Err(error) = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]) {
        warn!(%error, "cannot tell systemd that the daemon is ready");
    }
}
