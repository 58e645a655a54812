//! What an answer of the runtime is needed for, and when to ask again for it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// How often the list is asked for when nothing asks for it: what gives no event and changes no cgroup (a pod of a
/// virtual machine, one that lost its sandbox only) is known by then.
pub(super) const RELIST: Duration = Duration::from_secs(30);

/// The first pause after a question. A sandbox is listed no earlier than the runtime has made it, and its first
/// container starts 20 ms and more after that (measured with containerd 1.6 to 2.1): the answer must come well
/// within.
const SOON: Duration = Duration::from_millis(2);

/// The part of a question's age to wait until it is asked again: it is answered by then within an eighth more than it
/// had to take, and in four minutes asked some eighty times.
const PART: u32 = 8;

/// The digits of the id of a sandbox or a container.
const ID: usize = 64;

/// As [`PART`], for the sandboxes that a question names: the answer to it alone costs the runtime little.
const PART_OF_ONE: u32 = 64;

/// How long sandboxes are asked for by name. A runtime that takes longer to make one tells of it in its list.
const YOUNG: Duration = Duration::from_secs(30);

/// How many are asked for at a time: a pod has one, and dozens begin together only when a node does.
const MOST_NAMED: usize = 16;

/// The questions that are open.
pub(super) struct Questions {
    told: watch::Receiver<BTreeSet<String>>,
    /// Since when each is.
    open: BTreeMap<String, Instant>,
    /// Since when the youngest of them is.
    since: Instant,
}

impl Questions {
    pub(super) fn new(told: watch::Receiver<BTreeSet<String>>) -> Self {
        Self { told, open: BTreeMap::new(), since: Instant::now() }
    }

    /// Waits for a question that was not open before. Cancel safe.
    pub(super) async fn asked(&mut self) {
        loop {
            if self.told.changed().await.is_err() {
                // Whoever asks is gone, and ends this task too.
                return std::future::pending().await;
            }
            let told = self.told.borrow_and_update().clone();
            let now = Instant::now();
            let mut is_other = false;
            self.open.retain(|question, _| told.contains(question));
            for question in told {
                self.open.entry(question).or_insert_with(|| {
                    is_other = true;
                    now
                });
            }
            if is_other {
                self.since = now;
                return;
            }
        }
    }

    /// Whether there are any.
    pub(super) fn are_open(&self) -> bool {
        !self.told.borrow().is_empty()
    }

    /// The sandboxes that the questions may be about, the youngest first: the first cgroup in that of a pod has the name of
    /// its sandbox. Of the others, which are containers, the runtime knows no sandbox; nor does it of the pods of another
    /// runtime, which stay questions for as long as they are there.
    pub(super) fn named(&self) -> Vec<String> {
        let young = self.open.iter().filter(|(_, since)| since.elapsed() < YOUNG);
        let mut named: Vec<_> =
            young.filter_map(|(question, since)| Some((Reverse(*since), named(question)?))).collect();
        named.sort_unstable();
        named.into_iter().take(MOST_NAMED).map(|(_, sandbox)| sandbox.to_owned()).collect()
    }

    /// How long to wait before those are asked about again; `None` if that is left to the list.
    pub(super) fn pause_of_named(&self) -> Option<Duration> {
        let age = self.since.elapsed();
        (age < YOUNG).then(|| (age / PART_OF_ONE).max(SOON))
    }

    /// How long to wait before the next list, if the last one took so long: a runtime is not kept busy for more than
    /// half of the time.
    pub(super) fn pause(&self, took: Duration) -> Duration {
        if self.open.is_empty() { RELIST } else { pause(self.since.elapsed(), took) }
    }
}

fn named(question: &str) -> Option<&str> {
    let name = question.rsplit_once('/').map_or(question, |(_, name)| name);
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = name.rsplit_once('-').map_or(name, |(_, id)| id);
    (id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

fn pause(age: Duration, took: Duration) -> Duration {
    (age / PART).max(took).clamp(SOON, RELIST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cgroup_in_that_of_a_pod_names_its_sandbox() {
        let id = "0123456789abcdef".repeat(4);
        for (question, expected) in [
            (format!("kubepods/pod1/{id}"), Some(id.as_str())),
            (format!("kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"), Some(&id)),
            (format!("kubepods.slice/kubepods-pod1.slice/crio-{id}.scope"), Some(&id)),
            ("kubepods/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60".to_owned(), None),
            (format!("sandbox {id}"), None),
            (format!("kubepods/pod1/{id}/init.scope"), None),
        ] {
            assert_eq!(named(&question), expected, "{question}");
        }
    }

    #[tokio::test]
    async fn the_pods_of_another_runtime_do_not_keep_the_youngest_from_being_asked_about() {
        let ids = |numbers: std::ops::Range<u32>| {
            numbers.map(|number| format!("kubepods/pod/{number:064x}")).collect::<BTreeSet<_>>()
        };
        let (teller, told) = watch::channel(ids(0..100));
        let mut questions = Questions::new(told);
        teller.send_replace(ids(0..100));
        questions.asked().await;
        assert_eq!(questions.named().len(), MOST_NAMED);

        teller.send_replace(ids(0..101));
        questions.asked().await;

        assert_eq!(questions.named()[0], format!("{:064x}", 100));
        questions.open.values_mut().for_each(|since| *since -= YOUNG);
        assert!(questions.named().is_empty());
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_open_question_is_asked_again_less_and_less_often() {
        assert_eq!(pause(Duration::ZERO, MS), 2 * MS);
        assert_eq!(pause(80 * MS, MS), 10 * MS);
        assert_eq!(pause(8000 * MS, MS), 1000 * MS);
        assert_eq!(pause(86_400_000 * MS, MS), RELIST);
    }

    #[test]
    fn a_slow_runtime_is_given_as_much_rest_as_it_took() {
        assert_eq!(pause(Duration::ZERO, 300 * MS), 300 * MS);
        assert_eq!(pause(Duration::ZERO, 60_000 * MS), RELIST);
    }

    #[tokio::test]
    async fn only_a_question_that_was_not_open_is_another() {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
        let (teller, told) = watch::channel(BTreeSet::new());
        let mut questions = Questions::new(told);
        assert_eq!(questions.pause(MS), RELIST);

        assert!(!questions.are_open());
        teller.send_replace(set(&["a", "b"]));
        assert!(questions.are_open());
        questions.asked().await;
        assert!(questions.pause(MS) < RELIST);

        teller.send_replace(set(&["a"]));
        let fewer = futures_util::FutureExt::now_or_never(questions.asked());
        teller.send_replace(set(&["a", "c"]));
        let other = futures_util::FutureExt::now_or_never(questions.asked());

        assert_eq!((fewer, other), (None, Some(())));
    }
}
