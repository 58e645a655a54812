#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lookup;
mod precedence;

use std::net::IpAddr;

use keepalive_ebpf::{Remote, Timers};

use super::*;

/// Values by which a rule is told from others.
fn numbered(idle_s: u32) -> Timers {
    Timers { idle_s, interval_s: 15, probes: 4, user_timeout_ms: 0 }
}

fn entry(cidr: Option<&str>, ports: Option<&str>, number: u32) -> Entry {
    Entry {
        cidr: cidr.map(|cidr| cidr.parse().unwrap()),
        ports: ports.map_or(Ports::ALL, |ports| ports.parse().unwrap()),
        timers: numbered(number),
    }
}

/// The remote end at an address, as the kernel has it: a mapped one is of IPv4.
fn remote(address: IpAddr, port: u16) -> Remote {
    match address.to_canonical() {
        IpAddr::V4(address) => Remote::v4(address.to_bits(), port),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments().map(u32::from);
            Remote::v6([a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h], port)
        }
    }
}

/// The number of the entry that is for an address and a port.
fn found(entries: &[Entry], address: &str, port: u16) -> Option<u32> {
    let remote = remote(address.parse().unwrap(), port);
    compile(entries.to_vec()).rules.find(&remote).map(|timers| timers.idle_s)
}

#[test]
fn the_id_is_that_of_the_content() {
    let one = [entry(Some("10.0.0.0/8"), None, 1), entry(None, Some("5432"), 2)];
    let reordered = [one[1], one[0]];
    let other = [one[0], entry(None, Some("5432"), 3)];

    let [one, reordered, other] = [&one[..], &reordered, &other].map(|entries| compile(entries.to_vec()));

    assert_eq!(one, reordered, "what wins does not depend on the order here");
    assert_ne!(one.id, other.id);
    assert!(one.id != 0 && other.id != 0);
}

#[test]
fn the_id_outlasts_the_daemon() {
    // A new daemon finds what an old one left under the id that it computes itself.
    let compiled = compile(vec![entry(Some("2001:db8::/32"), Some("8000-8999"), 60)]);

    assert_eq!(format!("{:016x}", compiled.id), "1d5970b0a9c81cd9");
}

#[test]
fn rules_take_from_what_a_pod_asks_for_what_they_do_not_say() {
    let values = |idle_s, user_timeout| OwnValues { idle_s, user_timeout, ..OwnValues::default() };
    let rule = |values| Rule { cidr: None, ports: Vec::new(), values };
    let inherited = |user_timeout| Inherited { timers: numbered(20), user_timeout };
    let auto = Some(UserTimeout::Auto);
    for (own, user_timeout, expected) in [
        (values(None, None), None, (20, 0)),
        (values(Some(40), None), None, (40, 0)),
        (values(None, None), auto, (20, 80_000)),
        (values(Some(40), None), auto, (40, 100_000)),
        (values(Some(40), auto), None, (40, 100_000)),
        (values(Some(40), Some(UserTimeout::After(std::time::Duration::from_secs(9)))), auto, (40, 9000)),
    ] {
        let Timers { idle_s, user_timeout_ms, .. } = rule(own).timers(&inherited(user_timeout));

        assert_eq!((idle_s, user_timeout_ms), expected, "{own:?} {user_timeout:?}");
    }
}

#[test]
fn rules_are_shown_as_they_are_written() {
    let ports = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Ports>>();
    for (cidr, ports, shown) in [
        (Some("10.0.0.0/8"), ports(&[]), "10.0.0.0/8"),
        (Some("10.0.0.7/32"), ports(&["5432"]), "10.0.0.7 port 5432"),
        (Some("::ffff:10.0.0.0/104"), ports(&["1-2"]), "10.0.0.0/8 ports 1-2"),
        (Some("2001:db8::1"), ports(&["80", "443"]), "2001:db8::1 ports 80, 443"),
        (None, ports(&["5432"]), "any address port 5432"),
    ] {
        let cidr = cidr.map(|cidr| cidr.parse().unwrap());
        assert_eq!(Rule { cidr, ports, values: OwnValues::default() }.to_string(), shown);
    }
}
