#![expect(clippy::expect_used, reason = "a failed step fails the test")]

use std::sync::Arc;

use keepalive_ebpf::{Direction, Mode, Swept, Timers};
use tokio::sync::{Semaphore, oneshot};

use super::*;
use crate::report::applied::Applied;

/// What a pass says of a connection.
pub(super) const fn swept(governor: u64, cookie: u64, outcome: Outcome) -> Swept {
    Swept {
        cookie,
        governor,
        local: [0; 16],
        remote: [0; 16],
        local_port: 0,
        remote_port: 0,
        direction: Direction::Outbound,
        outcome,
        set: Timers::NONE,
        arms: 0,
        clears_user_timeout: 0,
        before: Timers::NONE,
        was_on: 0,
        errno: 0,
    }
}

/// The request for a sweep of what a cgroup's own policy governs.
pub(super) fn sweep(id: u64, idle_s: u32) -> Request {
    Request::Sweep { id, job: job(id, idle_s), delay: Duration::ZERO }
}

/// One of what a cgroup's policy governs, for somebody who waits; with where the answer comes.
pub(super) fn manual(id: u64, members: &[u64]) -> (Manual, oneshot::Receiver<Result<Applied, String>>) {
    manual_of([Job { members: members.iter().copied().collect(), ..job(id, 60) }])
}

/// One of several.
pub(super) fn manual_of(
    jobs: impl IntoIterator<Item = Job>,
) -> (Manual, oneshot::Receiver<Result<Applied, String>>) {
    let (reply, answer) = oneshot::channel();
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("it is the first");
    let jobs = jobs.into_iter().map(|job| (job.policy.cgroup(), ("/made/up".to_owned(), job))).collect();
    (Manual::new(Asker { reply, _permit: permit }, jobs, false), answer)
}

/// A sweep of what a cgroup's own policy governs.
pub(super) fn job(id: u64, idle_s: u32) -> Job {
    Job {
        sweep: Sweep::Apply,
        policy: policy(id, idle_s),
        previous: Vec::new(),
        members: BTreeSet::from([id]),
        why: "a test",
        is_only_counted: false,
    }
}

/// A policy of a cgroup.
pub(super) const fn policy(id: u64, idle_s: u32) -> Policy {
    let timers = Timers { idle_s, interval_s: 15, probes: 4, user_timeout_ms: 0 };
    Policy::new(Mode::Tighten, Direction::Both, timers).of_cgroup(id)
}
