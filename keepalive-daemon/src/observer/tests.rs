#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

use std::net::SocketAddr;

use super::*;
use crate::report::{sockets::Verdict, sweep::Values};

fn row(cookie: u64, keepalive: bool) -> SocketRow {
    let end = SocketAddr::from(([127, 0, 0, 1], 80));
    SocketRow {
        cookie,
        pod: None,
        cgroup: Some("app".to_owned()),
        network: "/proc/1/ns/net".to_owned(),
        network_id: "4:1".to_owned(),
        process: None,
        direction: None,
        local: end,
        remote: end,
        state: "ESTAB".to_owned(),
        options: Values { keepalive: Some(keepalive), ..Values::default() },
        timer: None,
        last_data_sent_milliseconds: None,
        last_data_received_milliseconds: None,
        last_ack_received_milliseconds: None,
        policy: None,
        verdict: if keepalive { Verdict::Policy } else { Verdict::Off },
        why: String::new(),
    }
}

fn page(unarmed: bool, limit: Option<u64>) -> (Page, mpsc::Receiver<Vec<u8>>) {
    let (parts, receiver) = mpsc::channel(PARTS);
    let (places, text, summary) = (Places::default(), Vec::new(), SocketSummary::default());
    (Page { places, unarmed, limit, parts, text, summary }, receiver)
}

fn cookies(text: &[u8]) -> Vec<u64> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| match serde_json::from_slice(line).unwrap() {
            SocketLine::Connection(row) => row.cookie,
            SocketLine::Summary { summary } => panic!("{summary:?}"),
        })
        .collect()
}

#[test]
fn what_is_one_too_many_is_left_off_and_that_is_told() {
    let (mut page, _receiver) = page(false, Some(2));

    let flows: Vec<_> =
        (0..3).map(|cookie| page.add(row(cookie, true)).is_ok_and(|flow| flow.is_break())).collect();

    assert_eq!(flows, [false, false, true]);
    assert_eq!(cookies(&page.text), [0, 1]);
    assert!(page.summary.left_off);
}

#[test]
fn as_many_as_are_allowed_are_not_too_many() {
    let (mut page, _receiver) = page(true, Some(1));

    for (cookie, keepalive) in [(0, true), (1, false), (2, true)] {
        assert!(page.add(row(cookie, keepalive)).is_ok_and(|flow| flow.is_continue()));
    }

    assert_eq!(cookies(&page.text), [1]);
    let SocketSummary { connections, policy, off, left_off, .. } = page.summary;
    assert_eq!((connections, policy, off, left_off), (1, 0, 1, false));
}

#[test]
fn a_part_is_handed_over_when_it_is_long_and_nobody_is_written_for_who_has_gone() {
    let (mut page, receiver) = page(false, None);
    let mut cookie = 0;
    while receiver.is_empty() {
        assert!(page.add(row(cookie, true)).is_ok());
        cookie += 1;
    }
    assert!(page.text.is_empty() && cookie < 10_000);

    drop(receiver);

    assert!((0..1000).any(|cookie| page.add(row(cookie, true)).is_err()));
}

#[test]
fn a_line_is_read_as_what_it_is() {
    let summary = SocketSummary { connections: 3, left_off: true, ..SocketSummary::default() };
    for line in
        [SocketLine::Connection(Box::new(row(7, false))), SocketLine::Summary { summary: summary.clone() }]
    {
        let text = serde_json::to_string(&line).unwrap();

        assert_eq!(serde_json::from_str::<SocketLine>(&text).unwrap(), line);
    }
}
