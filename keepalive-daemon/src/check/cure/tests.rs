use std::time::Duration;

use super::*;
use crate::{
    check::{Groups, Middlebox, Surroundings, groups::tests::row},
    facts::Facts,
    policy::{Policy, PolicySet, Scope, parse},
    report::sockets::SocketRow,
};

fn surroundings(timeout: u32) -> Surroundings {
    let far = Middlebox {
        name: "the far one".to_owned(),
        idle_timeout_seconds: timeout,
        keep_alive_helps: true,
        on_expiry: "forgotten".to_owned(),
        source: "a page".to_owned(),
    };
    Surroundings::new(vec![far], &Facts::default())
}

/// The connection of something that is no pod.
fn of_cgroup(path: &str, idle: Option<u32>) -> SocketRow {
    let row = row("", "10.0.0.7:40000", "10.0.0.9:5432", idle);
    SocketRow { pod: None, cgroup: Some(path.to_owned()), policy: None, ..row }
}

fn of_pod(pod: &str, idle: Option<u32>) -> SocketRow {
    row(pod, "10.0.0.7:40000", "10.0.0.9:5432", idle)
}

fn cure_under(
    rows: Vec<SocketRow>,
    timeout: u32,
    governing: &BTreeMap<String, Governing>,
    min_idle: u64,
) -> Cure {
    let surroundings = surroundings(timeout);
    let mut groups = Groups::new(&surroundings);
    for row in rows {
        groups.add(row);
    }
    Cure::new(&groups.finish(), governing, &Limits::new(Duration::from_secs(min_idle)))
}

fn cure(rows: Vec<SocketRow>, timeout: u32) -> Cure {
    cure_under(rows, timeout, &BTreeMap::new(), 5)
}

/// What the daemon makes of a cure.
fn policies(cure: &Cure, min_idle: u64) -> Vec<Policy> {
    let text = cure.policy.as_deref().expect("there is a cure");
    let limits = Limits::new(Duration::from_secs(min_idle));
    let policies = parse("pasted.yaml", text, &limits).expect(text);
    PolicySet::new(policies.clone()).expect("their names differ");
    policies
}

fn globs(policy: &Policy) -> &[CgroupGlob] {
    match &policy.scope {
        Scope::Cgroups(globs) => globs,
        Scope::Pods(_) => &[],
    }
}

#[test]
fn a_namespace_gets_a_policy_of_its_own_and_cgroups_share_one() {
    let rows = vec![
        of_pod("shop/a", None),
        of_pod("shop/b", Some(7200)),
        of_pod("bank/a", Some(300)),
        of_pod("fine/a", Some(60)),
        of_cgroup("system.slice/x.service", None),
        of_cgroup("user.slice", None),
    ];

    let policies = policies(&cure(rows, 350), 5);

    let names: Vec<_> = policies.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(names, ["bank/check", "shop/check", "check"]);
    for policy in &policies {
        assert_eq!((policy.timers.idle_s, policy.timers.interval_s, policy.priority), (60, 15, 0));
    }
    let globs: Vec<_> = globs(&policies[2]).iter().map(CgroupGlob::as_str).collect();
    assert_eq!(globs, ["system.slice/x.service", "user.slice"]);
}

#[test]
fn the_idle_time_is_half_of_the_strictest_timeout_and_no_less_than_the_daemon_takes() {
    for (timeout, min_idle, expected) in [
        (350, 5, Some(60)),
        (100, 5, Some(50)),
        (11, 5, Some(5)),
        (5, 1, Some(2)),
        (8, 5, Some(5)),
        (5, 5, None),
    ] {
        let cure = cure_under(vec![of_cgroup("a", None)], timeout, &BTreeMap::new(), min_idle);

        match expected {
            Some(idle) => assert_eq!(policies(&cure, min_idle)[0].timers.idle_s, idle, "{timeout}"),
            None => assert_eq!(cure.policy, None, "{timeout}"),
        }
        let is_short = timeout / 2 < u32::try_from(min_idle).expect("it is small");
        assert_eq!(cure.notes.iter().any(|note| note.contains("--min-idle")), is_short, "{timeout}");
    }
}

#[test]
fn a_policy_that_governs_already_is_outranked_and_named() {
    let governing = Governing { priority: 7, enforces: true, place: "shop.yaml:3".to_owned() };
    let governing = BTreeMap::from([
        ("shop/p".to_owned(), governing.clone()),
        ("shop/check".to_owned(), governing.clone()),
        ("check".to_owned(), governing),
    ]);

    let rows = vec![of_pod("shop/a", Some(300)), of_cgroup("a", None)];
    let cure = cure_under(rows, 350, &governing, 5);

    let policies = policies(&cure, 5);
    let shown: Vec<_> = policies.iter().map(|it| (it.id.to_string(), it.priority, it.mode)).collect();
    let [enforce, tighten] = [keepalive_ebpf::Mode::Enforce, keepalive_ebpf::Mode::Tighten];
    assert_eq!(shown, [("shop/check-2".to_owned(), 8, enforce), ("check-2".to_owned(), 0, tighten)]);
    assert!(cure.notes.iter().any(|note| note.contains("shop/p (shop.yaml:3)")), "{:?}", cure.notes);
}

#[test]
fn whatever_a_cgroup_is_called_its_policy_selects_it_and_nothing_else() {
    for path in ["a*b", "a?b", "a[bc]", "a{b,c}", "a\\x2db", "a]b", "a b: #c", "\"'", "tür", "line\nend"] {
        let policies = policies(&cure(vec![of_cgroup(path, None)], 350), 5);

        let globs = globs(&policies[0]);
        assert!(globs[0].matches(path), "{path:?}: {globs:?}");
        assert!(!globs[0].matches("axb") && !globs[0].matches("ab"), "{path:?}: {globs:?}");
    }
}

#[test]
fn what_is_fine_needs_no_cure_and_what_none_can_select_gets_none() {
    let fine = cure(vec![of_cgroup("a", Some(60))], 350);
    let unknown = cure(vec![SocketRow { cgroup: None, ..of_cgroup("a", None) }], 350);

    assert_eq!((fine.policy, fine.notes), (None, Vec::new()));
    assert_eq!(unknown.policy, None);
    assert!(unknown.notes[0].contains("cgroup is not known"), "{:?}", unknown.notes);
    let root = cure(vec![of_cgroup("/", None)], 350);
    assert_eq!(root.policy, None);
    assert!(root.notes[0].contains("1 of them belong to the root cgroup"), "{:?}", root.notes);
}
