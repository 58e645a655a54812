//! The cgroups, the pods and the policies of the model.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::*;
use super::Kernel;
use crate::{
    plan::levels,
    policy::{PodFacts, Policy as Document},
    workloads::{Place, Pod, is_transient},
};

const POD1: &str = "k/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";
const POD1_INNER: &str = "k/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60/c1";
const POD2: &str = "k/pod1f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f61";

/// Where cgroups may be. Each comes after what it is in.
pub(super) const PATHS: [&str; 11] = [
    "",
    "a",
    "a/b",
    "a/b/c",
    "a/d",
    "k",
    POD1,
    POD1_INNER,
    POD2,
    "a/keepalive-transient-7",
    "a/keepalive-transient-7/x",
];

/// Where the cgroups of pods may be, as indices.
pub(super) fn pods() -> impl Strategy<Value = usize> {
    let is_pod = |at: &usize| [POD1, POD2].contains(&PATHS[*at]);
    prop::sample::select((0..PATHS.len()).filter(is_pod).collect::<Vec<_>>())
}

/// What a pod asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Nothing,
    OptOut,
    Idle,
}

/// How many sets of policies there are.
pub(super) const SETS: usize = 9;

/// The policies of a set: a name, what it is for, and the rest, with an idle time by which each is known.
fn set(number: usize) -> PolicySet {
    let all: [&[(&str, &str, &str)]; SETS] = [
        &[],
        &[("all", "cgroups: [\"**\"]", "")],
        &[("root", "cgroups: [\"/\"]", ""), ("b", "cgroups: [\"a/b\"]", "")],
        &[("a", "cgroups: [\"a\"]", ""), ("c", "cgroups: [\"a/b/c\"]", "mode: Enforce, ")],
        &[("c", "cgroups: [\"a/b/c\"]", ""), ("b", "cgroups: [\"a/b\"]", "mode: Monitor, ")],
        &[("pods", "namespaces: [\"*\"]", "podOverrides: {idle: {min: 5s, max: 1h}}, ")],
        &[("k", "cgroups: [k]", ""), ("pods", "namespaces: [shop]", "mode: Enforce, ")],
        &[("k", "cgroups: [k]", "podOverrides: {optOut: false}, "), ("pods", "namespaces: [shop]", "")],
        &[("inner", "cgroups: [\"k/*/*\"]", ""), ("root", "cgroups: [\"/\"]", "mode: Enforce, ")],
    ];
    let documents = (10 * (number + 1)..).zip(all[number]).map(|(idle, (name, selects, rest))| {
        format!(
            "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
             spec: {{{selects}, {rest}keepalive: {{idle: {idle}s}}}}\n---\n"
        )
    });
    let text = format!("# the set {number}\n{}", documents.collect::<String>());
    PolicySet::new(parse("test.yaml", &text, &LIMITS).unwrap()).unwrap()
}

/// Everything but the kernel.
pub(super) struct World {
    pub(super) policies: PolicySet,
    pub(super) cgroups: Paths,
    placed: Placed,
    is_away: bool,
    next_id: u64,
    /// Of cgroups that are gone.
    old_ids: Vec<u64>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            policies: PolicySet::empty(),
            cgroups: Paths::from([(String::new(), 1)]),
            placed: Placed::default(),
            is_away: false,
            next_id: 2,
            old_ids: Vec::new(),
        }
    }

    /// Makes a cgroup; with an id that another had, if there is one that is `free`.
    pub(super) fn make(&mut self, at: usize, free: Option<&dyn Fn(u64) -> bool>) {
        let path = PATHS[at];
        let parent = ancestors(path).next();
        if self.cgroups.contains_key(path) || parent.is_none_or(|parent| !self.cgroups.contains_key(parent)) {
            return;
        }
        let old = free.and_then(|free| self.old_ids.iter().rposition(|id| free(*id)));
        let id = old.map_or(self.next_id, |at| self.old_ids.remove(at));
        self.next_id = self.next_id.max(id) + 1;
        self.cgroups.insert(path.to_owned(), id);
    }

    /// Returns the ids of those that are gone.
    pub(super) fn remove(&mut self, at: usize) -> Vec<u64> {
        let path = PATHS[at];
        if path.is_empty() {
            return Vec::new();
        }
        let (gone, left) = std::mem::take(&mut self.cgroups)
            .into_iter()
            .partition(|(it, _)| levels(it).any(|it| it == path));
        self.cgroups = left;
        let gone: Vec<u64> = Paths::into_values(gone).collect();
        self.placed.by_path.retain(|path, _| self.cgroups.contains_key(path));
        self.old_ids.extend(&gone);
        gone
    }

    pub(super) fn tell(&mut self, at: usize, ask: Ask) {
        let path = PATHS[at];
        if !self.cgroups.contains_key(path) {
            return;
        }
        let annotation = match ask {
            Ask::Nothing => None,
            Ask::OptOut => Some(("keepalive.dev/opt-out".to_owned(), "true".to_owned())),
            Ask::Idle => Some(("keepalive.dev/idle".to_owned(), "7s".to_owned())),
        };
        let facts = PodFacts {
            namespace: if path == POD1 { "shop" } else { "dev" }.to_owned(),
            name: format!("p{at}"),
            annotations: annotation.into_iter().collect(),
            ..PodFacts::default()
        };
        let place = Place::Cgroup(path.to_owned());
        let pod = Pod { facts, sandbox: format!("s{at}"), network: None, place };
        self.placed.by_path.insert(path.to_owned(), Arc::new(pod));
    }

    pub(super) fn untell(&mut self, at: usize) {
        self.placed.by_path.remove(PATHS[at]);
    }

    pub(super) const fn set_away(&mut self, is_away: bool) {
        self.is_away = is_away;
    }

    pub(super) fn set_policies(&mut self, number: usize) {
        self.policies = set(number);
    }

    pub(super) fn pods(&self) -> Option<Placed> {
        (!self.is_away).then(|| self.placed.clone())
    }

    /// What governs each cgroup now.
    pub(super) fn governed_by(&self, kernel: &Kernel) -> BTreeMap<String, Option<(String, u32)>> {
        let ids = |path| levels(path).filter_map(|level| self.cgroups.get(level).copied());
        self.cgroups.keys().map(|path| (path.clone(), kernel.governing(ids(path)))).collect()
    }

    /// What is to govern each cgroup, as a reader of the documents would say: the policy that selects it or, if there is
    /// none, the next above; of a pod that opted out, and may, nothing, or what is above it and cannot be opted out of.
    pub(super) fn expected(&self) -> BTreeMap<String, Option<(String, u32)>> {
        let expected = |path: &str| {
            let pod = levels(path).find(|level| self.has_opted_out(level));
            let governing = match pod {
                Some(pod) => {
                    ancestors(pod).find_map(|it| self.selecting(it)).filter(|(it, _)| !it.overrides.opt_out)
                }
                None => levels(path).find_map(|it| self.selecting(it)),
            };
            governing.map(|(policy, idle_s)| (policy.id.to_string(), idle_s))
        };
        self.cgroups.keys().map(|path| (path.clone(), expected(path))).collect()
    }

    /// The policy that selects a cgroup itself, and the idle time that it has there.
    fn selecting(&self, path: &str) -> Option<(&Document, u32)> {
        let pod = self.placed.by_path.get(path).map(|pod| &pod.facts);
        let policy = self.policies.select(path, pod).filter(|_| !is_transient(path))?;
        Some((policy, pod.map_or(policy.timers, |pod| policy.govern(pod).timers).idle_s))
    }

    fn has_opted_out(&self, path: &str) -> bool {
        let asks = self.placed.by_path.get(path).is_some_and(|pod| !pod.facts.annotations.is_empty());
        let asks = asks && self.placed.by_path[path].facts.annotations.contains_key("keepalive.dev/opt-out");
        asks && levels(path)
            .find_map(|it| self.selecting(it))
            .is_some_and(|(policy, _)| policy.overrides.opt_out)
    }
}
