//! All that runs on this node: the cgroup tree and the pods in it, followed together.

use std::{collections::BTreeSet, mem, path::Path};

use super::{
    CgroupTree, Changes, CriSocket, Paths, Placed, Runtime, RuntimeState, Unreachable, is_like_pod, place,
};
use crate::journal::{Event, Journal, Kind};
use anyhow::Result;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Cgroups were made or removed.
    Cgroups,
    /// The runtime told of other pods, or of trouble.
    Pods,
}

/// The cgroup tree and the pods in it.
pub(crate) struct Node {
    tree: CgroupTree,
    runtime: Runtime,
    socket: CriSocket,
    known: RuntimeState,
    /// Absent until the runtime told of its pods once.
    pods: Option<Placed>,
    /// Whether the pods, or where they are, changed since somebody asked.
    pods_changed: bool,
    out_of_reach: OutOfReach,
    journal: Journal,
}

impl Node {
    /// Reads the tree below `root` and begins to follow it and the runtime. Needs to be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub(crate) fn open(root: &Path, socket: CriSocket, journal: Journal) -> Result<Self> {
        let tree = CgroupTree::open(root)?;
        let runtime = Runtime::follow(socket.clone(), journal.clone());
        let known = runtime.state();
        let (pods, out_of_reach) = (None, OutOfReach::default());
        let mut node = Self { tree, runtime, socket, known, pods, pods_changed: true, out_of_reach, journal };
        node.place();
        Ok(node)
    }

    pub(crate) fn root(&self) -> &Path {
        self.tree.root()
    }

    pub(crate) fn cgroups(&self) -> &Paths {
        self.tree.paths()
    }

    /// What changed since this was asked last: anything, if it is not the cgroups alone.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let changes = self.tree.take_changes();
        if mem::take(&mut self.pods_changed) { Changes::Any } else { changes }
    }

    /// Whether the cgroups are those that there are.
    pub(crate) const fn is_tree_read(&self) -> bool {
        !self.tree.is_unread()
    }

    /// Why cgroups that are made now are known only later, or not at all.
    pub(crate) const fn trouble(&self) -> Option<&String> {
        self.tree.trouble()
    }

    /// The pods; `None` until the runtime told of them once.
    pub(crate) const fn pods(&self) -> Option<&Placed> {
        self.pods.as_ref()
    }

    /// Whether a container runtime is to be asked at all.
    pub(crate) fn has_runtime(&self) -> bool {
        self.socket != CriSocket::Off
    }

    /// Whether none is to be found that answers, of those that are looked for unasked; one that was named and does not
    /// answer is reported as that.
    pub(crate) fn lacks_runtime(&self) -> bool {
        self.socket == CriSocket::Auto && self.known.name.is_none() && self.known.trouble.is_some()
    }

    pub(crate) const fn runtime(&self) -> &RuntimeState {
        &self.known
    }

    /// Waits until something changed. Cancel safe.
    ///
    /// # Errors
    /// If the tree can no longer be followed.
    pub(crate) async fn changed(&mut self) -> Result<Change> {
        let change = tokio::select! {
            changed = self.tree.changed() => changed.map(|()| Change::Cgroups)?,
            changed = self.runtime.changed() => changed.map(|()| Change::Pods)?,
        };
        self.place();
        Ok(change)
    }

    /// Follows what happened to cgroups until now, without waiting; whoever waits for changes is told of them at once.
    ///
    /// # Errors
    /// If the tree can no longer be followed.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        self.tree.catch_up().await
    }

    /// Reads the whole tree again.
    ///
    /// # Errors
    /// If the root is gone.
    pub(crate) fn scan(&mut self) -> Result<()> {
        self.tree.scan()?;
        self.place();
        self.warn_of_unreachable(true);
        Ok(())
    }

    /// Finds the pods in the tree, and has the runtime asked about what they leave open.
    fn place(&mut self) {
        self.known = self.runtime.state();
        let pods = match &self.known.pods {
            Some(pods) => Some(place(pods, self.tree.paths())),
            // That there are none is known.
            None => (!self.has_runtime()).then(Placed::default),
        };
        self.pods_changed |= pods != self.pods;
        self.pods = pods;
        if self.has_runtime() {
            self.runtime.ask_about(open_questions(self.tree.paths(), self.pods.as_ref()));
        }
        self.warn_of_unreachable(false);
    }

    /// Warns, once a sandbox, of pods that cannot be reached; `at_scan` also of those that may only be beginning or
    /// ending.
    fn warn_of_unreachable(&mut self, at_scan: bool) {
        let Some(pods) = &self.pods else { return };
        for it in self.out_of_reach.news(&pods.unreachable, at_scan) {
            let (pod, reason) = (Some(it.pod.facts.to_string()), Some(it.reason.clone()));
            self.journal.push(Event { pod, reason, ..Event::new(Kind::PodUnreachable) });
        }
    }
}

/// Who was told of which pods that cannot be reached, by their sandboxes.
#[derive(Debug, Default)]
struct OutOfReach {
    told: BTreeSet<String>,
    /// Those that were in passing at the last scan: what is so at two is not.
    passing: BTreeSet<String>,
}

impl OutOfReach {
    /// The pods that somebody should be told of, each once.
    fn news<'p>(&mut self, unreachable: &'p [Unreachable], at_scan: bool) -> Vec<&'p Unreachable> {
        let lasts = |it: &Unreachable| !it.passing || (at_scan && self.passing.contains(&it.pod.sandbox));
        let lasting = unreachable.iter().filter(|it| lasts(it));
        let news: Vec<_> = lasting.filter(|it| !self.told.contains(&it.pod.sandbox)).collect();
        self.told.extend(news.iter().map(|it| it.pod.sandbox.clone()));
        let known: BTreeSet<&str> = unreachable.iter().map(|it| it.pod.sandbox.as_str()).collect();
        self.told.retain(|sandbox| known.contains(sandbox.as_str()));
        if at_scan {
            let passing = unreachable.iter().filter(|it| it.passing);
            self.passing = passing.map(|it| it.pod.sandbox.clone()).collect();
        }
        news
    }
}

/// What only the runtime can tell: whose are the cgroups that look like those of pods (with those made in them
/// since: each is a reason to ask at once), and where are the pods whose cgroup is not there.
fn open_questions(cgroups: &Paths, pods: Option<&Placed>) -> BTreeSet<String> {
    let settled = pods.into_iter().flat_map(|pods| &pods.unreachable).filter(|it| !it.passing);
    let settled: BTreeSet<&str> = settled.filter_map(|it| it.pod.place.cgroup()).collect();
    let is_known =
        |path: &str| settled.contains(path) || pods.is_some_and(|pods| pods.by_path.contains_key(path));
    let mut open = BTreeSet::new();
    let mut inside: Option<String> = None;
    for path in cgroups.keys() {
        if is_like_pod(path) {
            inside = (!is_known(path)).then(|| format!("{path}/"));
            open.extend(inside.is_some().then(|| path.clone()));
        } else if inside.as_ref().is_some_and(|pod| path.starts_with(pod)) {
            open.insert(path.clone());
        }
    }
    let missing = pods.into_iter().flat_map(|pods| &pods.unreachable).filter(|it| it.passing);
    open.extend(missing.map(|it| format!("sandbox {}", it.pod.sandbox)));
    open
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::{
        policy::PodFacts,
        workloads::{Place, Pod},
    };

    #[tokio::test]
    async fn a_host_that_is_said_to_have_no_pods_is_known_to_have_none() {
        let root = tempfile::tempdir().unwrap();
        let missing = CriSocket::At(root.path().join("missing.sock"));

        let [without, not_told] = [CriSocket::Off, missing]
            .map(|socket| Node::open(root.path(), socket, Journal::default()).unwrap());

        assert_eq!((without.pods(), not_told.pods()), (Some(&Placed::default()), None));
    }

    #[tokio::test]
    async fn what_was_caught_up_with_whoever_waits_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let mut node = Node::open(root.path(), CriSocket::Off, Journal::default()).unwrap();
        node.take_changes();
        std::fs::create_dir(root.path().join("made")).unwrap();

        node.catch_up().await.unwrap();

        assert!(node.cgroups().contains_key("made"));
        let [told, again] = [(); 2].map(|()| node.changed().now_or_never().map(Result::unwrap));
        assert_eq!((told, again), (Some(Change::Cgroups), None));
        assert!(matches!(node.take_changes(), Changes::Only { made, .. } if made.contains("made")));
    }

    fn unreachable(sandbox: &str, passing: bool) -> Unreachable {
        out_of_reach(sandbox, Place::Untold(String::new()), passing)
    }

    fn out_of_reach(sandbox: &str, place: Place, passing: bool) -> Unreachable {
        let pod = Pod { facts: PodFacts::default(), sandbox: sandbox.to_owned(), network: None, place };
        Unreachable { pod: Arc::new(pod), reason: String::new(), passing }
    }

    fn told(out_of_reach: &mut OutOfReach, of: &[Unreachable], at_scan: bool) -> Vec<String> {
        out_of_reach.news(of, at_scan).iter().map(|it| it.pod.sandbox.clone()).collect()
    }

    #[test]
    fn of_a_pod_out_of_reach_somebody_is_told_once() {
        let mut out_of_reach = OutOfReach::default();
        let pods = [unreachable("kata", false)];
        let tellings = [false, true, true].map(|at_scan| told(&mut out_of_reach, &pods, at_scan));
        assert_eq!(tellings, [vec!["kata".to_owned()], vec![], vec![]]);
    }

    #[test]
    fn of_a_pod_that_begins_or_ends_nobody_is_told_unless_it_does_so_from_one_scan_to_the_next() {
        let mut out_of_reach = OutOfReach::default();
        let [first, second] = [unreachable("first", true), unreachable("second", true)];
        let pods = [first, second];

        assert!(told(&mut out_of_reach, &pods[..1], true).is_empty());
        assert!(told(&mut out_of_reach, &pods, false).is_empty());
        assert_eq!(told(&mut out_of_reach, &pods, true), ["first"]);
    }

    #[test]
    fn a_cgroup_like_that_of_a_pod_is_asked_about_with_what_is_in_it() {
        const POD: &str = "kubepods/burstable/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";
        let paths = ["", "kubepods", "kubepods/burstable", POD, "system.slice"];
        let mut cgroups: Paths = paths.iter().zip(1..).map(|(path, id)| ((*path).to_owned(), id)).collect();
        cgroups.insert(format!("{POD}/c1"), 9);

        let open = open_questions(&cgroups, None);
        let shared = out_of_reach("s1", Place::Cgroup(POD.to_owned()), false);
        let told_to_be_shared = Placed { unreachable: vec![shared], ..Placed::default() };
        let of_shared = open_questions(&cgroups, Some(&told_to_be_shared));

        assert_eq!(open, BTreeSet::from([POD.to_owned(), format!("{POD}/c1")]));
        assert_eq!(of_shared, BTreeSet::new(), "there is nothing left to tell");
    }
}
