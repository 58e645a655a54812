use super::{entry, found};

#[test]
fn the_longest_prefix_wins_then_the_fewest_ports_then_the_first() {
    let entries = [
        entry(None, None, 1),
        entry(Some("10.0.0.0/8"), None, 2),
        entry(Some("10.1.0.0/16"), None, 3),
        entry(Some("10.0.0.0/8"), Some("5000-5999"), 4),
        entry(Some("10.0.0.0/8"), Some("5432"), 5),
        entry(Some("10.0.0.0/8"), Some("5432"), 6),
        entry(Some("10.0.0.0/8"), Some("5500-6499"), 7),
        entry(None, Some("5432"), 8),
    ];
    for (address, port, expected) in [
        ("192.0.2.1", 80, 1),
        ("192.0.2.1", 5432, 8),
        ("10.0.0.1", 80, 2),
        ("10.0.0.1", 5000, 4),
        ("10.0.0.1", 5432, 5),
        ("10.0.0.1", 5600, 4),
        ("10.0.0.1", 6000, 7),
        // However few ports a rule is for, a longer prefix comes first.
        ("10.1.0.1", 5432, 3),
    ] {
        assert_eq!(found(&entries, address, port), Some(expected), "{address}:{port}");
    }
}

#[test]
fn rules_for_no_destination_in_common_leave_the_others_alone() {
    let entries = [entry(Some("10.0.0.0/8"), Some("80"), 1), entry(Some("2001:db8::/32"), None, 2)];
    for (address, port, expected) in [
        ("9.255.255.255", 80, None),
        ("10.0.0.0", 80, Some(1)),
        ("10.255.255.255", 80, Some(1)),
        ("11.0.0.0", 80, None),
        ("10.0.0.0", 79, None),
        ("10.0.0.0", 81, None),
        ("2001:db8::", 1, Some(2)),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535, Some(2)),
        ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", 1, None),
        ("2001:db9::", 1, None),
        ("::", 80, None),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 80, None),
    ] {
        assert_eq!(found(&entries, address, port), expected, "{address}:{port}");
    }
}

#[test]
fn addresses_of_ipv4_are_among_those_of_ipv6() {
    let everything = [entry(Some("::/0"), None, 1), entry(Some("0.0.0.0/0"), None, 2)];
    assert_eq!(found(&everything, "192.0.2.1", 1), Some(2), "96 bits are more than none");
    assert_eq!(found(&everything, "::ffff:192.0.2.1", 1), Some(2));
    assert_eq!(found(&everything, "2001:db8::1", 1), Some(1));

    let six_alone = [entry(Some("2000::/3"), None, 1)];
    assert_eq!(found(&six_alone, "192.0.2.1", 1), None);

    let all_of_six = [entry(Some("::/0"), None, 1)];
    assert_eq!(found(&all_of_six, "192.0.2.1", 1), Some(1), "it is for mapped addresses, too");
}

#[test]
fn a_mapped_prefix_is_one_of_ipv4() {
    let entries = [entry(Some("::ffff:10.0.0.0/104"), None, 1), entry(Some("10.0.0.0/9"), None, 2)];

    assert_eq!(found(&entries, "10.0.0.1", 1), Some(2));
    assert_eq!(found(&entries, "10.128.0.1", 1), Some(1));
}

#[test]
fn as_many_rules_as_there_may_be_are_told_apart() {
    let entries: Vec<_> = (0..64)
        .map(|i| entry(Some(&format!("10.{i}.0.0/24")), Some(&format!("{}", 1000 + 2 * i)), i))
        .collect();
    for i in 0..64_u16 {
        let address = format!("10.{i}.0.255");
        assert_eq!(found(&entries, &address, 1000 + 2 * i), Some(i.into()), "{address}");
        assert_eq!(found(&entries, &address, 1001 + 2 * i), None, "{address}");
        assert_eq!(found(&entries, &format!("10.{i}.1.0"), 1000 + 2 * i), None);
    }
}
