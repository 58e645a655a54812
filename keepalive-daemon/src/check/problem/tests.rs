use proptest::prelude::*;

use super::*;

fn middlebox(timeout: u32, keep_alive_helps: bool) -> Middlebox {
    Middlebox {
        name: format!("the one of {timeout} s"),
        idle_timeout_seconds: timeout,
        keep_alive_helps,
        on_expiry: "forgotten".to_owned(),
        source: "a page".to_owned(),
    }
}

fn armed(idle: u32, interval: u32, probes: u32, user_timeout: u32) -> Values {
    Values {
        keepalive: Some(true),
        idle_seconds: Some(idle),
        interval_seconds: Some(interval),
        probes: Some(probes),
        user_timeout_milliseconds: Some(user_timeout),
    }
}

fn off() -> Values {
    Values { keepalive: Some(false), ..armed(7200, 75, 9, 0) }
}

fn names(values: &Values, on_the_way: &[Middlebox]) -> Vec<&'static str> {
    problems(values, on_the_way.iter(), true).iter().map(Problem::name).collect()
}

#[test]
fn half_of_what_the_strictest_forgets_after_is_fine_and_all_of_it_is_too_slow() {
    let way = [middlebox(432_000, true), middlebox(350, true)];

    for (idle, expected) in [
        (60, &[][..]),
        (175, &[]),
        (176, &["tight"]),
        (349, &["tight"]),
        (350, &["tooSlow"]),
        (7200, &["tooSlow"]),
    ] {
        assert_eq!(names(&armed(idle, 15, 4, 0), &way), expected, "{idle}");
    }
    let values = armed(7200, 75, 9, 0);
    let problems = problems(&values, way.iter(), true);
    let why = problems[0].why();
    assert!(why.contains("7200 s") && why.contains("the one of 350 s forgets it after 350 s"), "{why}");
}

#[test]
fn where_nothing_is_known_what_is_armed_is_fine_and_what_is_not_is_worth_a_look() {
    assert_eq!(names(&armed(7200, 75, 9, 0), &[]), [""; 0]);
    let unarmed = problems(&off(), [].iter(), true);
    assert_eq!(unarmed, [Problem::NotArmed(None)]);
    assert_eq!(unarmed[0].level(), Level::Warning);
    assert_eq!(problems(&off(), [].iter(), false), [], "nothing is between the two");
    assert_eq!(problems(&off(), [middlebox(5, true)].iter(), false)[0].level(), Level::Bad);
}

#[test]
fn what_counts_bytes_is_named_beside_what_a_probe_would_help_against() {
    let way = [middlebox(60, false), middlebox(350, true)];

    assert_eq!(names(&armed(60, 15, 4, 0), &way), ["cannotHelp"]);
    assert_eq!(names(&off(), &way), ["cannotHelp", "notArmed"]);
}

#[test]
fn a_user_timeout_below_what_all_probes_take_is_told_with_how_many_are_sent() {
    for (user_timeout, sent) in [
        (0, None),
        (200, Some(1)),
        (60_000, Some(1)),
        (75_000, Some(1)),
        (75_001, Some(2)),
        (105_000, Some(3)),
        (105_001, None),
        (120_000, None),
    ] {
        let values = armed(60, 15, 4, user_timeout);
        let found = problems(&values, [].iter(), true);
        let expected = sent.map(|sent| Problem::UserTimeout { milliseconds: user_timeout, sent, probes: 4 });
        assert_eq!(found, Vec::from_iter(expected), "{user_timeout}");
    }
    assert_eq!(names(&Values { keepalive: Some(false), ..armed(60, 15, 4, 5) }, &[]), ["notArmed"]);
}

#[test]
fn a_dead_peer_is_found_when_the_last_probe_stays_unanswered() {
    for (user_timeout, expected) in [(0, 120), (200, 75), (75_001, 90), (120_000, 120), (120_001, 135)] {
        assert_eq!(finds_dead_peer_after(&armed(60, 15, 4, user_timeout)), Some(expected), "{user_timeout}");
    }
    assert_eq!(finds_dead_peer_after(&off()), None);
}

#[test]
fn what_cannot_be_read_is_not_called_fine() {
    assert_eq!(names(&Values::default(), &[]), ["unknown"]);
    assert_eq!(names(&Values { idle_seconds: None, ..armed(1, 1, 1, 0) }, &[]), ["unknown"]);
}

fn values() -> impl Strategy<Value = Values> {
    let some = |limit: u32| proptest::option::of(0..limit);
    (proptest::option::of(any::<bool>()), some(10_000), some(100), some(20), some(200_000)).prop_map(
        |(keepalive, idle_seconds, interval_seconds, probes, user_timeout_milliseconds)| Values {
            keepalive,
            idle_seconds,
            interval_seconds,
            probes,
            user_timeout_milliseconds,
        },
    )
}

fn level(values: &Values, way: &[Middlebox], leaves: bool) -> Level {
    let problems = problems(values, way.iter(), leaves);
    problems.first().map_or(Level::Fine, Problem::level)
}

proptest! {
    #[test]
    fn one_more_on_the_way_or_a_stricter_one_never_improves_a_verdict(
        values in values(),
        way in proptest::collection::vec((1..10_000_u32, any::<bool>()), 0..5),
        more in (1..10_000_u32, any::<bool>()),
        stricter in 1..10_000_u32,
        leaves in any::<bool>(),
    ) {
        let way: Vec<_> = way.into_iter().map(|(timeout, helps)| middlebox(timeout, helps)).collect();
        let before = level(&values, &way, leaves);

        let longer = [&way[..], &[middlebox(more.0, more.1)]].concat();
        prop_assert!(level(&values, &longer, leaves) >= before);

        let tightened: Vec<_> = way
            .iter()
            .map(|it| middlebox(it.idle_timeout_seconds.min(stricter), it.keep_alive_helps))
            .collect();
        prop_assert!(level(&values, &tightened, leaves) >= before);
    }

    #[test]
    fn a_smaller_idle_time_never_makes_it_worse(
        idle in 1..10_000_u32,
        less in 0..10_000_u32,
        way in proptest::collection::vec(1..10_000_u32, 0..5),
    ) {
        let way: Vec<_> = way.into_iter().map(|timeout| middlebox(timeout, true)).collect();
        let at = |idle: u32| level(&armed(idle.max(1), 15, 4, 0), &way, true);
        prop_assert!(at(idle.saturating_sub(less)) <= at(idle));
    }
}
