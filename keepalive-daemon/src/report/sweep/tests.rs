use keepalive_ebpf::Timers;

use super::*;

const fn timers(idle_s: u32, interval_s: u32, probes: u32, user_timeout_ms: u32) -> Timers {
    Timers { idle_s, interval_s, probes, user_timeout_ms }
}

fn swept() -> Swept {
    Swept {
        cookie: 7,
        governor: 42,
        local: Ipv6Addr::from_bits(0xffff_0a00_0001).octets(),
        remote: Ipv6Addr::LOCALHOST.octets(),
        local_port: 40_000,
        remote_port: 5432,
        direction: Direction::Outbound,
        outcome: Outcome::Arm,
        set: timers(60, 15, 4, 0),
        arms: 1,
        clears_user_timeout: 0,
        before: timers(7200, 75, 9, 0),
        was_on: 0,
        errno: 0,
    }
}

fn line(dry_run: bool, swept: &Swept) -> String {
    let listing = SweptSockets { dry_run, sockets: vec![SweptSocket::from(swept)] };
    listing.for_people().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn programs_read_every_value_and_what_was_set() {
    let json = serde_json::to_value(SweptSocket::from(&swept())).ok();

    let expected = serde_json::json!({
        "cookie": 7, "local": "10.0.0.1:40000", "remote": "[::1]:5432", "direction": "Outbound",
        "before": {
            "keepalive": false, "idleSeconds": 7200, "intervalSeconds": 75, "probes": 9,
            "userTimeoutMilliseconds": 0
        },
        "set": {"keepalive": true, "idleSeconds": 60, "intervalSeconds": 15, "probes": 4},
        "outcome": "arm",
    });
    assert_eq!(json, Some(expected));
}

#[test]
fn people_read_what_changes_and_why() {
    let swept = swept();
    let tightened = Swept {
        outcome: Outcome::Tighten,
        set: timers(60, 0, 0, 120_000),
        arms: 0,
        was_on: 1,
        before: timers(300, 10, 3, 0),
        errno: 1,
        ..swept
    };
    let kept = Swept { outcome: Outcome::KeepChosen, set: Timers::NONE, arms: 0, was_on: 1, ..swept };
    let cleared = Swept { set: Timers::NONE, arms: 0, clears_user_timeout: 1, ..kept };

    for (swept, says) in [
        (swept, ["Outbound    off", "60s/15s/4   ", "keep-alive was off"]),
        (tightened, ["300s/10s/3   ", "60s/-/- ut 2m", "looser; refused: EPERM"]),
        (kept, ["7200s/75s/9", "   -   ", "left alone: the application's choice"]),
        (cleared, ["7200s/75s/9", "ut none", "left alone"]),
    ] {
        let line = line(false, &swept);
        for words in says {
            assert!(line.contains(words), "{words:?} is not in: {line}");
        }
    }
}

#[test]
fn what_the_kernel_cannot_tell_is_absent() {
    let unknown = Swept {
        outcome: Outcome::ArmBlind,
        before: timers(u32::MAX, u32::MAX, u32::MAX, u32::MAX),
        was_on: u32::MAX,
        ..swept()
    };

    assert_eq!(SweptSocket::from(&unknown).before, Values::default());
    let line = line(false, &unknown);
    let words: Vec<&str> = line.split_whitespace().skip(3).collect();
    assert_eq!(words, ["Outbound", "-", "60s/15s/4", "cannot", "be", "read"]);
}

#[test]
fn a_dry_run_says_so_and_what_has_no_direction_goes_by_its_process() {
    let swept = Swept { direction: Direction::Both, ..swept() };
    let socket = SweptSocket { pid: Some(4711), ..SweptSocket::from(&swept) };
    let listing = SweptSockets { dry_run: true, sockets: vec![socket] };

    let text = listing.for_people();

    let header: Vec<&str> = text.lines().take(1).flat_map(|line| line.split("   ")).collect();
    let header: Vec<&str> = header.iter().map(|it| it.trim()).filter(|it| !it.is_empty()).collect();
    assert_eq!(header, ["PID", "LOCAL", "REMOTE", "HAD", "WOULD SET", "WHY"], "{text}");
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("4711 ")), "{text}");
}
