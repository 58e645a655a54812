use serde_json::json;

use super::*;

/// A connection of a pod from a client's port to a server's.
pub(in crate::check) fn row(pod: &str, local: &str, remote: &str, idle: Option<u32>) -> SocketRow {
    let direction = if local.ends_with(":8080") { "Inbound" } else { "Outbound" };
    let row = json!({
        "cookie": 7, "pod": pod, "cgroup": format!("kubepods/{pod}"), "network": "/proc/9/ns/net",
        "networkId": "4:9", "direction": direction, "local": local, "remote": remote, "state": "ESTAB", "policy": "shop/p",
        "options": {"keepalive": idle.is_some(), "idleSeconds": idle.unwrap_or(7200), "intervalSeconds": 15, "probes": 4},
        "verdict": "off", "why": "a test",
    });
    serde_json::from_value(row).expect("it is a row")
}

fn far() -> Surroundings {
    let far = Middlebox {
        name: "the far one".to_owned(),
        idle_timeout_seconds: 350,
        keep_alive_helps: true,
        on_expiry: "forgotten".to_owned(),
        source: "a page".to_owned(),
    };
    Surroundings::new(vec![far], &crate::facts::Facts::default())
}

#[test]
fn connections_are_one_group_by_the_end_that_they_have_in_common() {
    let surroundings = far();
    let mut groups = Groups::new(&surroundings);
    for port in 40_000..40_005 {
        let near = format!("10.0.0.7:{port}");
        groups.add(row("shop/a", &near, "10.0.0.9:5432", Some(60)));
        groups.add(row("shop/a", "10.0.0.7:8080", &near.replace(".7:", ".8:"), Some(60)));
        groups.add(row("shop/b", &near, "10.0.0.9:5432", (port > 40_001).then_some(60)));
    }

    assert_eq!(groups.seen().iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["the far one"]);
    let groups = groups.finish();

    let shown: Vec<_> = groups
        .iter()
        .map(|it| (it.pod.as_deref().unwrap_or_default(), it.end.to_string(), it.connections, it.armed))
        .collect();
    let database = "to 10.0.0.9:5432".to_owned();
    assert_eq!(
        shown,
        [
            ("shop/b", database.clone(), 5, 3),
            ("shop/a", database, 5, 5),
            ("shop/a", "in at port 8080".to_owned(), 5, 5),
        ]
    );
    assert_eq!(
        groups[0].problems.iter().map(|(problem, count)| (problem.name(), *count)).collect::<Vec<_>>(),
        [("notArmed", 2)]
    );
    assert_eq!((groups[0].level(), groups[1].level()), (Level::Bad, Level::Fine));
    assert_eq!((groups[1].idle_seconds, groups[1].dead_peer_found_after_s), (Some((60, 60)), Some(120)));
}

#[test]
fn what_does_not_live_any_more_or_yet_is_not_looked_at() {
    let surroundings = far();
    let mut groups = Groups::new(&surroundings);
    for state in ["SYN-SENT", "TIME-WAIT", "LISTEN", "FIN-WAIT-2"] {
        let row = row("shop/a", "10.0.0.7:40000", "10.0.0.9:5432", None);
        groups.add(SocketRow { state: state.to_owned(), ..row });
    }

    assert!(groups.finish().is_empty());
}

#[test]
fn what_stays_inside_passes_nothing_and_is_fine() {
    let surroundings = far();
    let mut groups = Groups::new(&surroundings);
    for (near, far) in [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("10.0.0.7", "10.0.0.7"),
    ] {
        let at =
            |address: &str, port| SocketAddr::new(address.parse().expect("an address"), port).to_string();
        groups.add(row("shop/a", &at(near, 40_000), &at(far, 5432), None));
    }

    let groups = groups.finish();

    assert_eq!(groups.len(), 4);
    assert!(groups.iter().all(|group| group.level() == Level::Fine && group.strictest.is_none()));
}

#[test]
fn where_nobody_tells_the_direction_the_lower_port_is_the_one_that_listens() {
    let outbound = row("shop/a", "10.0.0.7:40000", "10.0.0.9:5432", None);
    let inbound = row("shop/a", "10.0.0.7:8080", "10.0.0.9:40000", None);
    let [outbound, inbound] = [outbound, inbound].map(|row| SocketRow { direction: None, ..row });

    assert_eq!(end(&outbound), End::Remote(outbound.remote));
    assert_eq!(end(&inbound), End::LocalPort(8080));
}
