//! The daemon: what starts in which order, the one loop that everything that happens goes through, and how it
//! ends.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{MissedTickBehavior, interval_at, sleep},
};
use tracing::{error, info, warn};

use crate::{
    answers::State,
    api::{Group, Question, server},
    governor::{Cause, Governor},
    helped::{self, Helped},
    journal::{Event, Journal, Kind},
    kernel::{self, Held, Kernel, Targets, waiting},
    metrics::{self, MetricsArgs, Reconciles},
    policy::{Limits, PolicySet, directory},
    policy_files::{PolicyFiles, Reread},
    readiness::{Readiness, Task},
    report::{health::Health, policies::PolicyList, status},
    sweeper::{self, Manual, Sweeps},
    this_kernel,
    workloads::{Change, CriSocket, Node, Placed, cgroup2_root},
};

/// How often the tree and the pins are read from scratch: a backstop for what gives no event (a foreign
/// program detached from a cgroup that refused us, a link detached by hand) and costs some milliseconds a
/// thousand cgroups.
const RESYNC: Duration = Duration::from_secs(60);

/// What the daemon is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The directory of policy documents.
    pub(crate) policies: PathBuf,
    /// The directory that cgroup paths are relative to; found if absent.
    pub(crate) cgroup_root: Option<PathBuf>,
    /// Where the bpffs is mounted.
    pub(crate) bpffs: PathBuf,
    /// The container runtime to ask for pods.
    pub(crate) runtime: CriSocket,
    /// The control socket.
    pub(crate) api_socket: PathBuf,
    pub(crate) metrics: MetricsArgs,
    /// Whose members may open that, too.
    pub(crate) api_group: Option<Group>,
    /// Bounds on what policies may ask for.
    pub(crate) limits: Limits,
    /// Whether the program writes a log line a connection.
    pub(crate) log_bpf: bool,
    /// How connections are swept that are open already.
    pub(crate) sweeping: sweeper::Options,
    /// How it is found out whether it helped.
    pub(crate) helping: helped::Options,
    /// Whether to detach from all cgroups at the end rather than leave the policies in force.
    pub(crate) detach_on_exit: bool,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// If it cannot start, or can no longer follow what it governs; what is in force stays so.
pub(crate) async fn run(config: Config) -> Result<()> {
    let Config {
        policies,
        cgroup_root,
        bpffs,
        runtime,
        api_socket,
        metrics: MetricsArgs { address, labels },
        api_group,
        limits,
        log_bpf,
        sweeping,
        helping,
        detach_on_exit,
    } = config;
    let root = cgroup2_root(cgroup_root.as_deref())?;
    // What leaves no trace comes first.
    let files = PolicyFiles::open(&policies)?;
    let journal = Journal::default();
    let node = Node::open(&root, runtime, journal.clone())?;
    let held = Held::take(&bpffs)?;
    let (_socket, mut questions) = server::serve(&api_socket, api_group, journal.clone())?;
    let kernel = Kernel::open(held, log_bpf)?;
    let mut asked = metrics::serve(address)?;
    info!(cgroup_root = %root.display(), bpffs = %bpffs.display(), policies = %policies.display(), "started");
    let swept_cgroups = Targets::default();
    let governor = Governor::new(kernel, root, swept_cgroups.clone(), node.cgroups(), journal.clone())?;
    let (sweeps, mut swept) = Sweeps::start(&sweeping, &bpffs, &swept_cgroups, journal.clone())?;
    let helped = Helped::start(helping, journal.clone())?;
    let mut daemon = Daemon {
        directory: policies,
        limits,
        policies: None,
        policy_error: None,
        files,
        node,
        governor,
        sweeps,
        helped,
        readiness: Readiness::new(),
        reconciles: Reconciles::default(),
        labels,
        journal,
        told_of_lack: false,
        told_of_waiting: waiting::Told::default(),
        pins_trouble: None,
    };
    daemon.follow(&mut questions, &mut asked, &mut swept).await?;
    if !detach_on_exit {
        info!("leaving the policies in force; `keepalive-daemon cleanup` ends them");
        return Ok(());
    }
    // Lets go of the lock on the pins.
    drop(daemon);
    kernel::remove_all(&bpffs, |what, path| {
        info!(path = %path.display(), why = "asked to detach on exit", "removed the {what}");
    })
}

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
    readiness: Readiness,
    reconciles: Reconciles,
    /// Of metrics of single cgroups.
    labels: Vec<metrics::Label>,
    /// What happened.
    journal: Journal,
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
        let mut resync = interval_at(tokio::time::Instant::now() + RESYNC, RESYNC);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.reload(Reread::Changed);
        self.reconcile(Cause::Start);
        tell_systemd();
        let count = sleep(Duration::ZERO);
        tokio::pin!(count);
        loop {
            tokio::select! {
                changed = self.node.changed() => self.reconcile(match changed? {
                    Change::Cgroups => Cause::Cgroups,
                    Change::Pods => Cause::Pods,
                }),
                changed = self.files.changed() => {
                    self.reload(changed?);
                    self.reconcile(Cause::Policies);
                }
                _ = hangup.recv() => {
                    self.reload(Reread::Changed);
                    self.reconcile(Cause::Policies);
                    self.resync()?;
                }
                _ = resync.tick() => self.resync()?,
                () = &mut count => {
                    count.as_mut().reset(tokio::time::Instant::now() + self.governor.count());
                    self.journal.settle();
                    self.told_of_waiting.tell();
                }
                Some(question) = questions.recv() => self.answer(question),
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

    fn reconcile(&mut self, cause: Cause) {
        self.readiness.set(Task::ReadCgroups, self.node.is_tree_read());
        self.readiness.set(Task::ReadPins, self.pins_trouble.is_none());
        let Some(policies) = &self.policies else { return };
        let began = Instant::now();
        let pods = self.node.pods();
        let rules = self.sweeps.rules_in_use();
        let in_force = self.governor.reconcile(policies, self.node.cgroups(), pods, rules, cause);
        self.sweeps.follow(&mut self.governor, self.node.cgroups(), cause);
        self.helped.follow(&self.governor, self.node.cgroups(), pods);
        self.reconciles.observe(began.elapsed());
        if policies.selects_pods() && self.node.lacks_runtime() && !self.told_of_lack {
            self.told_of_lack = true;
            warn!(
                "policies select pods, and no container runtime is found that tells of any: start it, or name its \
                 socket with --cri-socket"
            );
        }
        if pods.is_some() || !policies.selects_pods() {
            self.readiness.done(Task::LearnPods);
            if in_force {
                self.readiness.done(Task::GovernCgroups);
            }
        }
    }

    /// Reads the tree and the pins from scratch, whatever the events said.
    fn resync(&mut self) -> Result<()> {
        self.files.watch_again();
        self.node.scan()?;
        match self.governor.refresh(self.node.cgroups()) {
            Ok(()) => self.pins_trouble = None,
            Err(error) => {
                let reason = Some(format!("cannot read back what is attached: {error:#}"));
                if self.pins_trouble != reason {
                    error!("cannot read back what is attached: {error:#}");
                }
                self.pins_trouble = reason;
            }
        }
        self.reconcile(Cause::Resync);
        self.governor.warn_if_blind();
        if let Some(policies) = &self.policies {
            let names = self.governor.forget_gone(self.node.cgroups(), policies);
            self.helped.retain_policies(|name| names.contains(name));
        }
        Ok(())
    }

    /// Answers; whoever asked may have gone away meanwhile, and then there is nobody to tell.
    fn answer(&self, question: Question) {
        let none = PolicySet::empty();
        let policies = self.policies.as_ref().unwrap_or(&none);
        let unknown = Placed::default();
        let pods = self.node.pods().unwrap_or(&unknown);
        let Self { node, governor, sweeps, helped, .. } = self;
        let state = State { policies, node, pods, governor, sweeps, helped };
        match question {
            Question::Status(to) => {
                let daemon = self.describe(state.policies(), state.runtime());
                let _ = to.send(status::Status { daemon: Some(daemon), ..state.status() });
            }
            Question::Policies(to) => {
                let _ = to.send(state.policies());
            }
            Question::Explain(subject, to) => {
                let _ = to.send(state.explain(&subject));
            }
            Question::Apply(selection, asker) => match state.sweeps_of(&selection) {
                Ok(jobs) => self.sweeps.apply(Manual::new(asker, jobs, selection.dry_run)),
                Err(reason) => {
                    let _ = asker.reply.send(Err(reason));
                }
            },
            Question::Places(query, to) => {
                let _ = to.send(state.places(&query));
            }
            Question::Health(to) => {
                let _ = to.send(self.health());
            }
        }
    }

    /// Answers to those who watch.
    fn tell(&self, question: metrics::Question) {
        match question {
            metrics::Question::Health(to) => {
                let _ = to.send(self.health());
            }
            metrics::Question::Snapshot(to) => {
                let view = metrics::View {
                    policies: self.policies.as_ref(),
                    reloaded: self.readiness.is_done(Task::ReadPolicies),
                    readiness: &self.readiness,
                    node: &self.node,
                    governor: &self.governor,
                    sweeps: &self.sweeps,
                    helped: &self.helped,
                    reconciles: &self.reconciles,
                    labels: &self.labels,
                };
                let _ = to.send(Box::new(view.snapshot()));
            }
        }
    }

    fn describe(&self, policies: PolicyList, runtime: Option<status::Runtime>) -> status::Daemon {
        let Health { ready, unfinished, troubles } = self.health();
        status::Daemon {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready,
            unfinished,
            troubles,
            cgroup_root: self.node.root().display().to_string(),
            runtime,
            sweeping: self.sweeps.describe(),
            helping: self.helped.describe(),
            policies: policies.0,
            policy_error: self.policy_error.clone(),
        }
    }

    fn health(&self) -> Health {
        let mut unfinished: Vec<String> =
            self.readiness.unfinished().into_iter().map(str::to_owned).collect();
        let trouble =
            self.node.runtime().trouble.as_ref().filter(|_| !self.readiness.is_done(Task::LearnPods));
        unfinished.extend(trouble.map(|trouble| trouble.message.clone()));
        let troubles = self.node.trouble().into_iter().chain(&self.pins_trouble).cloned();
        let troubles = troubles.chain(waiting::stuck());
        Health { ready: self.readiness.is_ready(), unfinished, troubles: troubles.collect() }
    }
}

/// Tells systemd, if it started the daemon, that the first pass is done. What that could not do is for `status`
/// to show: a unit that is never ready would be killed, and with it the work on all other cgroups.
fn tell_systemd() {
    if let Err(error) = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]) {
        warn!(%error, "cannot tell systemd that the daemon is ready");
    }
}
