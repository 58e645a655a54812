#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use std::{
    collections::VecDeque,
    sync::mpsc::{self, Receiver, Sender},
};

use keepalive_ebpf::{Outcome, Policy, Target};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::sweeper::tests::{job, manual, manual_of, policy, sweep, swept};

/// A kernel made up: each pass sees the connections that it is given next, and tells in `began` what is to be done to
/// those of cgroup 1.
struct Script {
    passes: VecDeque<Vec<Swept>>,
    began: Sender<Option<Target>>,
}

impl Passes for Script {
    fn method(&self) -> Method {
        Method::Iterator
    }

    fn pass(&mut self, targets: &Targets, each: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Pass> {
        // The test may have seen enough.
        let _ = self.began.send(targets.get(1));
        for swept in self.passes.pop_front().unwrap_or_default() {
            if each(&swept).is_break() {
                break;
            }
        }
        Ok(Pass { namespaces: 1, ..Pass::default() })
    }
}

type Began = Receiver<Option<Target>>;

fn start(rate: u32, passes: Vec<Vec<Swept>>) -> (Worker, UnboundedReceiver<Event>, Began) {
    let (began, passes_begun) = mpsc::channel();
    let (events, receiver) = unbounded_channel();
    let load = move || Ok(Script { passes: passes.clone().into(), began: began.clone() });
    (Worker::start(rate, Targets::default(), events, load).unwrap(), receiver, passes_begun)
}

fn finished(events: &mut UnboundedReceiver<Event>) -> (u64, Job, Tally) {
    loop {
        match events.blocking_recv().unwrap() {
            Event::Finished(finished) => return (finished.id, finished.job, finished.tally),
            Event::Began(_) => {}
            Event::Failed { reason, .. } => panic!("{reason}"),
        }
    }
}

#[test]
fn a_sweep_is_repeated_until_nothing_changes_and_told_with_its_policy() {
    let (worker, mut events, _began) =
        start(0, vec![vec![swept(1, 1, Outcome::Arm)], vec![swept(1, 1, Outcome::KeepTighter)]]);

    worker.ask([sweep(1, 60)]);

    let (id, job, tally) = finished(&mut events);
    assert_eq!((id, job.policy, tally.of(Outcome::Arm)), (1, policy(1, 60), 1));
}

#[test]
fn a_change_breaks_a_paced_pass_off_and_it_begins_anew() {
    // At one a second the end is never reached.
    let arm = |cookie| swept(1, cookie, Outcome::Arm);
    let (worker, mut events, began) = start(1, vec![(0..1000).map(arm).collect(), vec![]]);
    worker.ask([sweep(1, 60)]);
    assert_eq!(began.recv().unwrap().unwrap().policy, policy(1, 60));

    worker.ask([sweep(1, 30)]);

    assert_eq!(began.recv().unwrap().unwrap().policy, policy(1, 30));
    assert_eq!(finished(&mut events).1.policy, policy(1, 30));
}

#[test]
fn dropping_the_worker_ends_a_pause() {
    let (worker, mut events, began) = start(1, vec![vec![swept(1, 1, Outcome::Arm); 100]]);
    worker.ask([sweep(1, 60)]);
    began.recv().unwrap();

    drop(worker);

    // The thread has the other end.
    while let Some(event) = events.blocking_recv() {
        assert!(matches!(event, Event::Began(_)), "{event:?}");
    }
}

#[test]
fn what_is_about_to_change_is_not_swept_as_it_was() {
    let (loading, is_loading) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (began, passes_begun) = mpsc::channel();
    let (events, mut receiver) = unbounded_channel();
    let targets = Targets::default();
    let load = move || {
        loading.send(())?;
        released.lock().unwrap().recv()?;
        Ok(Script { passes: VecDeque::new(), began: began.clone() })
    };
    let worker = Worker::start(0, targets.clone(), events, load).unwrap();
    worker.ask([sweep(1, 60)]);
    is_loading.recv().unwrap();

    // The sweeper does not hear of the change before it could begin.
    targets.bar([1]);
    release.send(()).unwrap();
    worker.ask([sweep(1, 30)]);
    worker.ask([Request::Settled(targets.changes())]);

    assert_eq!(finished(&mut receiver).1.policy, policy(1, 30));
    let swept: Vec<Policy> = passes_begun.try_iter().flatten().map(|target| target.policy).collect();
    assert!(swept.iter().all(|swept| *swept == policy(1, 30)), "{swept:?}");
}

#[test]
fn a_pass_that_a_change_took_targets_from_is_made_again() {
    let (events, mut receiver) = unbounded_channel();
    let targets = Targets::default();
    let (began, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let stuck = std::sync::Mutex::new(Some(Stuck { began, released }));
    let load = move || stuck.lock().unwrap().take().context("it is loaded once");
    let worker = Worker::start(0, targets.clone(), events, load).unwrap();
    worker.ask([sweep(1, 60)]);
    has_begun.recv().unwrap();

    // Of something else, above: the same is to be swept afterwards.
    targets.bar([1]);
    release.send(()).unwrap();
    worker.ask([Request::Settled(targets.changes())]);
    has_begun.recv().unwrap();
    release.send(()).unwrap();

    assert_eq!(finished(&mut receiver).1.policy, policy(1, 60));
}

/// A kernel that does not come back from a pass before it is released.
struct Stuck {
    began: Sender<()>,
    released: Receiver<()>,
}

impl Passes for Stuck {
    fn method(&self) -> Method {
        Method::Iterator
    }

    fn pass(&mut self, _: &Targets, _: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Pass> {
        self.began.send(())?;
        self.released.recv()?;
        Ok(Pass::default())
    }
}

#[test]
fn a_pass_that_does_not_come_back_does_not_keep_the_daemon_from_ending() {
    let (began, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let stuck = std::sync::Mutex::new(Some(Stuck { began, released }));
    let load = move || stuck.lock().unwrap().take().context("it is loaded once");
    let (events, _receiver) = unbounded_channel();
    let worker = Worker::start(0, Targets::default(), events, load).unwrap();
    worker.ask([sweep(1, 60)]);
    has_begun.recv().unwrap();

    let (dropped, is_dropped) = mpsc::channel();
    thread::spawn(move || {
        drop(worker);
        dropped.send(())
    });

    // The bound only ends a test that would hang.
    is_dropped.recv_timeout(Duration::from_secs(30)).unwrap();
    drop(release);
}

#[test]
fn what_cannot_be_loaded_is_tried_again_with_the_next_request() {
    let (events, mut receiver) = unbounded_channel();
    let worker =
        Worker::start(0, Targets::default(), events, || Err::<Script, _>(anyhow::anyhow!("no right to")))
            .unwrap();

    for _ in 0..2 {
        worker.ask([sweep(1, 60)]);
        let failed = loop {
            match receiver.blocking_recv().unwrap() {
                Event::Failed { ids, reason } => break (ids, reason),
                Event::Began(_) => {}
                Event::Finished(_) => panic!("nothing was loaded"),
            }
        };
        assert_eq!(failed, (vec![1], "no right to".to_owned()));
    }
}

#[test]
fn what_is_asked_while_it_is_busy_is_swept_in_one_pass() {
    let (began, passes_begun) = mpsc::channel();
    let (events, mut receiver) = unbounded_channel();
    let (gate, opened) = mpsc::channel::<()>();
    let load = move || {
        // Until all is asked.
        opened.recv().unwrap();
        Ok(Script { passes: VecDeque::new(), began: began.clone() })
    };
    let worker = Worker::start(0, Targets::default(), events, load).unwrap();

    (1..=100).for_each(|id| worker.ask([sweep(id, 60)]));
    gate.send(()).unwrap();

    (1..=100).for_each(|_| drop(finished(&mut receiver)));
    // What was asked before the first one began, and the rest.
    assert!(passes_begun.try_iter().count() <= 2);
}

/// A kernel with a connection that each pass sees.
struct Busy;

impl Passes for Busy {
    fn method(&self) -> Method {
        Method::Iterator
    }

    fn pass(&mut self, _: &Targets, each: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Pass> {
        let _ = each(&swept(1, 1, Outcome::Arm));
        Ok(Pass::default())
    }
}

#[test]
fn a_sweep_for_nobody_ends() {
    let (events, mut receiver) = unbounded_channel();
    let worker = Worker::start(0, Targets::default(), events, || Ok(Busy)).unwrap();
    let (asked, answer) = manual(1, &[1]);
    drop(answer);

    worker.ask([Request::Apply(asked)]);
    worker.ask([sweep(2, 60)]);

    assert_eq!(finished(&mut receiver).0, 2);
}

#[test]
fn a_sweep_that_waited_while_its_policy_changed_is_refused() {
    let (events, _receiver) = unbounded_channel();
    let (began, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let stuck = std::sync::Mutex::new(Some(Stuck { began, released }));
    let load = move || stuck.lock().unwrap().take().context("it is loaded once");
    let worker = Worker::start(0, Targets::default(), events, load).unwrap();
    let ((first, first_answer), (second, second_answer)) = (manual(1, &[1]), manual(2, &[2]));
    worker.ask([Request::Apply(first)]);
    has_begun.recv().unwrap();

    worker.ask([Request::Apply(second)]);
    worker.ask([Request::Changed(2)]);
    release.send(()).unwrap();

    assert!(first_answer.blocking_recv().unwrap().is_ok());
    let refused = second_answer.blocking_recv().unwrap().unwrap_err();
    assert!(refused.contains("changed meanwhile"), "{refused}");
}

/// A kernel made up that can do the first pass and no other.
struct Once(bool);

impl Passes for Once {
    fn method(&self) -> Method {
        Method::Iterator
    }

    fn pass(&mut self, _: &Targets, _: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Pass> {
        anyhow::ensure!(!std::mem::replace(&mut self.0, true), "there is no room");
        Ok(Pass::default())
    }
}

#[test]
fn whoever_asks_hears_of_what_could_be_done_and_why_the_rest_could_not() {
    let (events, _receiver) = unbounded_channel();
    let worker = Worker::start(0, Targets::default(), events, || Ok(Once(false))).unwrap();
    let most = keepalive_ebpf::MOST_TARGETS as u64;
    let too_large = Job { members: (2..3 + most).collect(), ..job(2, 60) };
    let (first, answer) = manual_of([job(1, 60), too_large]);
    let (second, refusal) = manual(1, &[1]);

    worker.ask([Request::Apply(first), Request::Apply(second)]);

    let applied = answer.blocking_recv().unwrap().unwrap();
    assert_eq!(applied.unreachable, ["some cgroups: there is no room"]);
    assert_eq!(
        refusal.blocking_recv().unwrap().unwrap_err(),
        "cannot sweep the open connections: there is no room"
    );
}
