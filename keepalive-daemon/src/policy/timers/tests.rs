#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

const S: Duration = Duration::from_secs(1);

#[test]
fn every_value_out_of_range_is_reported_at_once() {
    let spec = TimerSpec {
        idle: Some(4 * S),
        interval: Some(40_000 * S),
        probes: Some(-1),
        user_timeout: Some(UserTimeout::After(Duration::ZERO)),
    };

    let refused = spec.resolve(&Limits::default()).unwrap_err();

    let shown: Vec<_> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "idle: 4s is out of range (this daemon (--min-idle) and the kernel take 5s to 32767s)",
            "interval: 40000s is out of range (the kernel takes 1s to 32767s)",
            "probes: -1 is out of range (the kernel takes 1 to 127)",
            "user timeout: 0s is no timeout (leave it out and sockets keep their own user timeout, or write \
             `auto`, or a duration such as `90s`)",
        ]
    );
}

#[test]
fn auto_is_not_blamed_for_what_it_is_made_of() {
    let spec =
        TimerSpec { probes: Some(1000), user_timeout: Some(UserTimeout::Auto), ..TimerSpec::default() };

    let refused = spec.resolve(&Limits::default()).unwrap_err();

    assert_eq!(refused.iter().map(|r| r.field).collect::<Vec<_>>(), [TimerField::Probes]);
}

#[test]
fn the_floor_stays_within_what_the_kernel_takes() {
    for (min_idle, floor) in [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(1001), 2),
        (32_768 * S, 32_767),
        (Duration::MAX, 32_767),
    ] {
        assert_eq!(Limits::new(min_idle).min_idle_s(), floor, "{min_idle:?}");
    }
}

#[test]
fn durations_are_read_as_people_write_them() {
    for (text, expected) in [
        ("60s", 60 * S),
        ("2m", 120 * S),
        ("1h", 3600 * S),
        ("1m30s", 90 * S),
        (" 1m 30s ", 90 * S),
        ("90sec", 90 * S),
        ("1500ms", Duration::from_millis(1500)),
        ("1.5m", 90 * S),
    ] {
        assert_eq!(parse_duration(text), Ok(expected), "{text}");
    }
    for text in ["", " ", "s", "60x", "60 s s", "-1s", "1:30", "99999999999999999999s", "∞"] {
        let fault = parse_duration(text).unwrap_err();
        assert_eq!(fault.message, format!("`{}` is not a duration", text.trim()));
    }
}

#[test]
fn a_number_without_unit_is_not_guessed_at() {
    for text in ["60", "0", " 7 "] {
        let number = text.trim();
        let fault = parse_duration(text).unwrap_err();
        assert_eq!(fault.to_string(), format!("`{number}` has no unit (write `{number}s`)"));
    }
}

#[test]
fn a_user_timeout_is_auto_or_a_duration() {
    assert_eq!("auto".parse(), Ok(UserTimeout::Auto));
    assert_eq!("90s".parse(), Ok(UserTimeout::After(90 * S)));
    assert!(
        "never".parse::<UserTimeout>().unwrap_err().help.ends_with("or `auto` for idle + interval × probes")
    );
}

#[test]
fn a_duration_is_shown_whole() {
    for (duration, shown) in [
        (S, "1s"),
        (40_000 * S, "40000s"),
        (Duration::from_millis(1500), "1500ms"),
        (Duration::from_micros(1500), "1500000ns"),
    ] {
        assert_eq!(show(duration), shown);
    }
}
