#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use keepalive_ebpf::{Mode, Timers};

use super::*;
use crate::policy::{Limits, PodFacts, parse};
use crate::workloads::{Place, Unreachable};

const LIMITS: Limits = Limits { min_idle: std::time::Duration::from_secs(1) };
const HEADER: &str = "apiVersion: keepalive.dev/v1alpha1";

/// Policies of these names and globs, idle 60 s each.
fn policies(named: &[(&str, &str)]) -> PolicySet {
    let documents = named.iter().map(|(name, glob)| {
        format!(
            "{HEADER}\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
             spec: {{cgroups: [\"{glob}\"]}}\n---\n"
        )
    });
    set(&documents.collect::<String>())
}

/// A policy for the pods of a namespace, as a document.
fn of_namespace(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "{HEADER}\nkind: KeepalivePolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{keepalive: {{idle: 30s}}{spec}}}\n---\n"
    )
}

/// A policy for cgroups, as a document.
fn of_cgroups(name: &str, glob: &str, spec: &str) -> String {
    format!(
        "{HEADER}\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
         spec: {{cgroups: [\"{glob}\"]{spec}}}\n---\n"
    )
}

fn set(text: &str) -> PolicySet {
    PolicySet::new(parse("test.yaml", text, &LIMITS).unwrap()).unwrap()
}

fn cgroups(paths: &[(&str, u64)]) -> Paths {
    paths.iter().map(|(path, id)| ((*path).to_owned(), *id)).collect()
}

/// A pod in a cgroup, with annotations.
fn placed(path: &str, namespace: &str, annotations: &[(&str, &str)]) -> Placed {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let facts = PodFacts {
        namespace: namespace.to_owned(),
        name: "web-0".to_owned(),
        uid: "u1".to_owned(),
        labels: BTreeMap::new(),
        annotations: annotations.collect(),
    };
    let place = Place::Cgroup(path.to_owned());
    let pod = Pod { facts, sandbox: "s1".to_owned(), network: None, place };
    Placed { by_path: BTreeMap::from([(path.to_owned(), Arc::new(pod))]), unreachable: Vec::new() }
}

fn desired(policies: &PolicySet, cgroups: &Paths) -> BTreeMap<u64, Desired> {
    plan(policies, cgroups, &Placed::default()).desired
}

fn idle(timers: Timers) -> u32 {
    timers.idle_s
}

const TREE: [(&str, u64); 4] = [("", 1), ("pods", 2), ("pods/p1", 3), ("pods/p1/c1", 4)];
const OPT_OUT: [(&str, &str); 1] = [("keepalive.dev/opt-out", "true")];

#[test]
fn a_selected_cgroup_is_attached_and_no_other() {
    let policies = policies(&[("web", "web/*")]);
    let cgroups = cgroups(&[("", 1), ("web", 2), ("web/a", 3), ("web/a/deep", 4), ("db", 5)]);

    let desired = desired(&policies, &cgroups);

    assert_eq!(desired.keys().collect::<Vec<_>>(), [&3]);
    assert_eq!(desired[&3].policy_name, "web");
    assert_eq!(desired[&3].policy.mode(), Mode::Tighten);
}

#[test]
fn the_cgroup_of_an_exec_is_left_to_it() {
    let cgroups = cgroups(&[("a", 1), ("a/keepalive-transient-7", 2), ("a/keepalive-transient-7/b", 3)]);
    let desired = desired(&policies(&[("all", "**")]), &cgroups);
    assert_eq!(desired.keys().collect::<Vec<_>>(), [&1]);
}

#[test]
fn a_cgroup_inside_a_selected_one_claims_its_connections() {
    let policies = policies(&[("outer", "a"), ("inner", "a/b/c"), ("root", "/")]);
    let cgroups = cgroups(&[("", 1), ("a", 2), ("a/b", 3), ("a/b/c", 4), ("ab", 5)]);

    let desired = desired(&policies, &cgroups);

    let claims: Vec<(u64, bool)> = desired.iter().map(|(id, want)| (*id, want.policy.claims())).collect();
    assert_eq!(claims, [(1, false), (2, true), (4, true)]);
}

#[test]
fn a_name_that_begins_like_another_is_not_inside_it() {
    let policies = policies(&[("one", "a"), ("two", "ab")]);
    let desired = desired(&policies, &cgroups(&[("", 1), ("a", 2), ("ab", 3)]));
    assert!(desired.values().all(|want| !want.policy.claims()));
}

#[test]
fn the_cgroup_of_a_pod_has_the_policy_of_its_namespace() {
    let policies = set(&of_namespace("shop", "all", ""));

    let in_shop = plan(&policies, &cgroups(&TREE), &placed("pods/p1", "shop", &[])).desired;
    let elsewhere = plan(&policies, &cgroups(&TREE), &placed("pods/p1", "dev", &[])).desired;

    assert_eq!(in_shop.keys().collect::<Vec<_>>(), [&3]);
    assert_eq!(
        (in_shop[&3].policy_name.as_str(), in_shop[&3].pod.as_deref()),
        ("shop/all", Some("shop/web-0"))
    );
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn the_policy_of_a_pod_wins_over_that_of_a_cgroup_above() {
    let policies = set(&(of_namespace("shop", "all", "") + &of_cgroups("node", "pods", ", priority: 9")));

    let desired = plan(&policies, &cgroups(&TREE), &placed("pods/p1", "shop", &[])).desired;

    assert_eq!((desired[&3].policy_name.as_str(), desired[&3].policy.claims()), ("shop/all", true));
    assert_eq!((desired[&2].policy_name.as_str(), desired[&2].policy.claims()), ("node", false));
}

#[test]
fn a_pod_that_opts_out_is_not_attached_to() {
    let policies = set(&(of_namespace("shop", "all", "") + &of_cgroups("containers", "pods/*/*", "")));

    let desired = plan(&policies, &cgroups(&TREE), &placed("pods/p1", "shop", &OPT_OUT)).desired;

    assert!(desired.is_empty(), "{desired:?}");
}

#[test]
fn a_pod_that_opts_out_below_a_governed_cgroup_has_that_yield() {
    let policies = set(&of_cgroups("node", "pods", ""));

    let desired = plan(&policies, &cgroups(&TREE), &placed("pods/p1", "shop", &OPT_OUT)).desired;

    assert_eq!(desired.keys().collect::<Vec<_>>(), [&2, &3]);
    assert_eq!(desired[&3].policy, InKernel::exempt(3));
}

#[test]
fn what_may_not_be_opted_out_of_governs() {
    let strict = ", podOverrides: {optOut: false}";
    let own = set(&of_namespace("shop", "all", strict));
    let above = set(&(of_namespace("shop", "all", "") + &of_cgroups("node", "pods", strict)));
    let pods = placed("pods/p1", "shop", &OPT_OUT);

    let (own, above) = (plan(&own, &cgroups(&TREE), &pods), plan(&above, &cgroups(&TREE), &pods));

    assert_eq!(own.desired[&3].policy_name, "shop/all");
    assert!(matches!(own.notes.first(), Some(Note::Annotation { .. })), "{:?}", own.notes);
    assert_eq!(above.desired.keys().collect::<Vec<_>>(), [&2], "governed by the policy above alone");
}

#[test]
fn an_annotation_within_bounds_changes_the_values_of_its_pod_alone() {
    let policies = set(&of_namespace("shop", "all", ", podOverrides: {idle: {min: 10s, max: 60s}}"));
    let mut pods = placed("pods/p1", "shop", &[("keepalive.dev/idle", "20s")]);
    pods.by_path.extend(placed("pods/p2", "shop", &[("keepalive.dev/idle", "2h")]).by_path);
    let tree = cgroups(&[("pods/p1", 3), ("pods/p2", 5)]);

    let plan = plan(&policies, &tree, &pods);

    let idle = |id| idle(plan.desired[&id].policy.timers());
    assert_eq!((idle(3), idle(5)), (20, 30));
    let noted: Vec<_> = plan.notes.iter().collect();
    assert!(matches!(noted[..], [Note::Annotation { .. }]), "{noted:?}");
}

#[test]
fn two_policies_that_only_their_names_rank_are_noted() {
    let policies = set(&(of_namespace("shop", "b", "") + &of_namespace("shop", "a", "")));

    let plan = plan(&policies, &cgroups(&TREE), &placed("pods/p1", "shop", &[]));

    assert_eq!(plan.desired[&3].policy_name, "shop/a");
    let Some(Note::Tie(tie)) = plan.notes.first() else { unreachable!("{:?}", plan.notes) };
    assert_eq!((tie.winner.to_string(), tie.loser.to_string()), ("shop/a".into(), "shop/b".into()));
}

const POD: &str = "kubepods/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";

fn attached(path: &str, policy_name: &str) -> Actual {
    let timers = Timers { idle_s: 9, interval_s: 9, probes: 9, user_timeout_ms: 0 };
    let policy = InKernel::new(Mode::Tighten, keepalive_ebpf::Direction::Both, timers);
    let [path, policy_name] = [path, policy_name].map(str::to_owned);
    Actual {
        path,
        policy_name,
        policy: Some(policy),
        current: true,
        swept: None,
        guard: crate::reconcile::Guard::Absent,
    }
}

#[test]
fn what_is_attached_to_pods_is_held_while_they_are_not_known() {
    let tree = cgroups(&[(POD, 1), ("x", 2), ("y", 3), ("z", 4)]);
    let policies = set(&(of_namespace("shop", "all", "")
        + &of_cgroups("glob", "**", "")
        + &format!(
            "{HEADER}\nkind: ClusterKeepalivePolicy\nmetadata: {{name: pods}}\nspec: {{namespaces: ['*']}}\n"
        )));
    let actual = BTreeMap::from([
        (1, attached(POD, "gone")),
        (2, attached("x", "shop/gone")),
        (3, attached("y", "pods")),
        (4, attached("z", "gone")),
        (5, attached("x", "shop/all")),
    ]);
    let mut plan = plan(&policies, &tree, &Placed::default());

    hold(&mut plan, &actual, &policies, &tree, None);

    let idle: BTreeMap<u64, u32> =
        plan.desired.iter().map(|(id, want)| (*id, idle(want.policy.timers()))).collect();
    assert_eq!(idle, BTreeMap::from([(1, 9), (2, 9), (3, 9), (4, 60)]));
}

#[test]
fn what_is_attached_to_a_pod_that_is_half_told_of_is_held() {
    let tree = cgroups(&[(POD, 1)]);
    let policies = set(&of_namespace("shop", "all", ""));
    let actual = BTreeMap::from([(1, attached(POD, "shop/all"))]);
    let half_told = |passing| {
        let Placed { by_path, .. } = placed("elsewhere", "shop", &[]);
        let pod = by_path["elsewhere"].clone();
        let unreachable = vec![Unreachable { pod, reason: "its status is slow".to_owned(), passing }];
        Placed { by_path: BTreeMap::new(), unreachable }
    };

    let [while_it_is, afterwards] = [true, false].map(|passing| {
        let pods = half_told(passing);
        let mut plan = plan(&policies, &tree, &pods);
        hold(&mut plan, &actual, &policies, &tree, Some(&pods));
        plan.desired.len()
    });

    assert_eq!((while_it_is, afterwards), (1, 0));
}

#[test]
fn what_is_held_has_a_policy_above_it_yield() {
    let tree = cgroups(&[("kubepods", 1), (POD, 2)]);
    let policies = set(&of_cgroups("node", "kubepods", ""));
    let exempt = Actual { policy: Some(InKernel::exempt(2)), ..attached(POD, "shop/all") };

    for have in [attached(POD, "shop/all"), exempt] {
        let mut plan = plan(&policies, &tree, &Placed::default());
        hold(&mut plan, &BTreeMap::from([(2, have)]), &policies, &tree, None);

        assert!(plan.desired[&2].policy.claims() && !plan.desired[&1].policy.claims());
    }
}

#[test]
fn values_of_its_own_are_refused_to_a_pod_that_a_policy_above_governs() {
    let policies = set(&of_cgroups("node", "pods", ", podOverrides: {idle: {min: 10s, max: 60s}}"));
    let asked = [("keepalive.dev/idle", "20s"), ("keepalive.dev/interval", "20s")];

    let plan = plan(&policies, &cgroups(&TREE), &placed("pods/p1", "shop", &asked));

    assert_eq!(plan.desired.keys().collect::<Vec<_>>(), [&2]);
    let noted: Vec<_> = plan.notes.iter().collect();
    let [Note::Annotation { annotation, reason, .. }] = noted[..] else { unreachable!("{noted:?}") };
    assert_eq!(annotation, "keepalive.dev/idle");
    assert!(reason.contains("`node`") && reason.contains("same values"), "{reason}");
}
