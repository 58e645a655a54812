#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::policy::PodFacts;

const WEB: &str = "kubepods/burstable/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";

fn pod_at(name: &str, place: Place) -> Arc<Pod> {
    let facts = PodFacts { namespace: "shop".to_owned(), name: name.to_owned(), ..PodFacts::default() };
    Arc::new(Pod { facts, sandbox: format!("sandbox of {name}"), network: None, place })
}

fn pod(name: &str, path: &str) -> Arc<Pod> {
    pod_at(name, Place::Cgroup(path.to_owned()))
}

fn tree(paths: &[&str]) -> Paths {
    paths.iter().zip(1..).map(|(path, id)| ((*path).to_owned(), id)).collect()
}

/// The pods by path, and those that are unreachable, passing ones in parentheses.
fn placed(pods: &[Arc<Pod>], paths: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
    let placed = place(pods, &tree(paths));
    let by_path = placed.by_path.iter().map(|(path, pod)| (path.clone(), pod.facts.name.clone()));
    let unreachable = placed.unreachable.iter().map(|it| {
        let name = &it.pod.facts.name;
        if it.passing { format!("({name})") } else { name.clone() }
    });
    (by_path.collect(), unreachable.collect())
}

fn found(path: &str, name: &str) -> (String, String) {
    (path.to_owned(), name.to_owned())
}

#[test]
fn a_pod_is_where_its_runtime_says() {
    let paths = ["", "kubepods", WEB, &format!("{WEB}/c1")];
    assert_eq!(placed(&[pod("web", WEB)], &paths), (vec![found(WEB, "web")], vec![]));
}

#[test]
fn a_pod_whose_cgroup_is_not_there_may_be_beginning_or_ending() {
    assert_eq!(placed(&[pod("web", WEB)], &["", "kubepods"]), (vec![], vec!["(web)".to_owned()]));
    assert_eq!(placed(&[pod("web", WEB)], &[]), (vec![], vec!["(web)".to_owned()]));
}

#[test]
fn a_runtime_in_a_cgroup_namespace_of_its_own_does_not_see_where_that_begins() {
    let nested = format!("docker/4f2a/kubelet/{WEB}");
    let slice = "kubelet.slice/kubelet-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice";
    let nested_slice = format!("system.slice/docker-4f2a.scope/{slice}");

    assert_eq!(placed(&[pod("web", WEB)], &[&nested]).0, [found(&nested, "web")]);
    assert_eq!(placed(&[pod("web", slice)], &[&nested_slice]).0, [found(&nested_slice, "web")]);
    // Of two, nobody can tell which.
    let other = format!("docker/5a3b/{WEB}");
    assert_eq!(placed(&[pod("web", WEB)], &[&nested, &other]), (vec![], vec!["(web)".to_owned()]));
}

#[test]
fn a_daemon_that_is_shown_a_part_of_the_hierarchy_finds_the_pods_in_it() {
    let part = WEB.strip_prefix("kubepods/").unwrap();
    let name = name(WEB);
    assert_eq!(placed(&[pod("web", WEB)], &["", part]).0, [found(part, "web")]);
    assert_eq!(placed(&[pod("web", WEB)], &["", name]).0, [found(name, "web")]);
}

#[test]
fn a_name_that_any_cgroup_may_have_is_not_looked_for_elsewhere() {
    let paths = ["", "system.slice/web", "web", &format!("x{WEB}")];
    let pods = [pod("a", "docker/system.slice/web"), pod("b", "slice/web"), pod("web", WEB)];
    let unreachable = ["(a)", "(b)", "(web)"].map(str::to_owned);
    assert_eq!(placed(&pods, &paths), (vec![], unreachable.to_vec()));
}

#[test]
fn pods_that_share_a_cgroup_are_unreachable_whatever_their_order() {
    let pods = [pod("b", "x"), pod("a", "x"), pod("c", "y")];
    let forth = place(&pods, &tree(&["x", "y"]));
    let back = place(&[pods[2].clone(), pods[1].clone(), pods[0].clone()], &tree(&["x", "y"]));

    assert_eq!(forth, back);
    let reasons: Vec<_> = forth.unreachable.iter().map(|it| (it.reason.as_str(), it.passing)).collect();
    assert!(reasons[0].0.contains("also that of pod shop/b") && !reasons[0].1, "{reasons:?}");
    assert!(reasons[1].0.contains("also that of pod shop/a") && !reasons[1].1, "{reasons:?}");
    assert_eq!(forth.by_path.into_keys().collect::<Vec<_>>(), ["y"]);
}

#[test]
fn a_pod_whose_cgroup_contains_anothers_is_unreachable_and_the_other_is_not() {
    let pods = [pod("outer", "x"), pod("inner", "x/y/z"), pod("beside", "x-y")];
    let expected = vec![found("x-y", "beside"), found("x/y/z", "inner")];
    assert_eq!(placed(&pods, &["x", "x/y", "x/y/z", "x-y"]), (expected, vec!["outer".to_owned()]));
}

#[test]
fn what_the_runtime_does_not_tell_is_said() {
    let pods = [
        pod_at("a", Place::Unreachable("it runs elsewhere".to_owned())),
        pod_at("b", Place::Untold("busy".to_owned())),
    ];
    let placed = place(&pods, &tree(&[""]));
    let told: Vec<_> = placed.unreachable.iter().map(|it| (it.reason.as_str(), it.passing)).collect();
    assert_eq!(told[0], ("it runs elsewhere", false));
    assert!(told[1].0.contains("busy") && told[1].1, "{told:?}");
}
