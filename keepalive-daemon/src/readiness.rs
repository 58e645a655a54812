//! What has to happen for the daemon to do its job: a set of named tasks, so that "not ready" always says why.

use std::collections::BTreeSet;

use tracing::info;

/// Something the daemon has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Read the policies, as they lie in their directory, without an error.
    ReadPolicies,
    /// Learn from the container runtime which pods there are, if a policy selects pods.
    LearnPods,
    /// Read the tree of cgroups, as it is now.
    ReadCgroups,
    /// Read back what is attached.
    ReadPins,
    /// Put the policies in force in every cgroup they select.
    GovernCgroups,
}

impl Task {
    const ALL: [Self; 5] =
        [Self::ReadPolicies, Self::LearnPods, Self::ReadCgroups, Self::ReadPins, Self::GovernCgroups];

    /// For programs.
    const fn name(self) -> &'static str {
        match self {
            Self::ReadPolicies => "read_policies",
            Self::LearnPods => "learn_pods",
            Self::ReadCgroups => "read_cgroups",
            Self::ReadPins => "read_pins",
            Self::GovernCgroups => "govern_cgroups",
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::ReadPolicies => "read the policies",
            Self::LearnPods => "learn the node's pods from the container runtime",
            Self::ReadPins => "read back what is attached",
            Self::ReadCgroups => "read the tree of cgroups",
            Self::GovernCgroups => "put the policies in force in every cgroup they select",
        }
    }
}

/// The tasks that are not done.
#[derive(Debug)]
pub(crate) struct Readiness {
    unfinished: BTreeSet<Task>,
}

impl Readiness {
    pub(crate) fn new() -> Self {
        Self { unfinished: BTreeSet::from(Task::ALL) }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// What is not done, as a person would say it.
    pub(crate) fn unfinished(&self) -> Vec<&'static str> {
        self.unfinished.iter().map(|task| task.describe()).collect()
    }

    /// All tasks by name, and whether each is done.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (&'static str, bool)> {
        Task::ALL.iter().map(|task| (task.name(), self.is_done(*task)))
    }

    /// Notes whether a task is done.
    pub(crate) fn set(&mut self, task: Task, is_done: bool) {
        if is_done { self.done(task) } else { self.reopen(task) }
    }

    /// A task that was done is to be done again.
    pub(crate) fn reopen(&mut self, task: Task) {
        self.unfinished.insert(task);
    }

    /// Whether a task is done.
    pub(crate) fn is_done(&self, task: Task) -> bool {
        !self.unfinished.contains(&task)
    }

    /// Ticks off a task; with the last one the daemon is ready.
    pub(crate) fn done(&mut self, task: Task) {
        if self.unfinished.remove(&task) && self.is_ready() {
            info!("ready: all policies are in force");
        }
    }
}
