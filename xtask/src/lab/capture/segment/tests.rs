#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use super::*;

/// A connection with one request, one answered probe and an answer, as tcpdump 4.99 prints it.
const KEPT_ALIVE: &str = "\
1795171998.206400 IP (tos 0x0, ttl 64, id 62799, offset 0, flags [DF], proto TCP (6), length 60)
    10.77.1.2.52126 > 10.77.2.2.8080: Flags [S], cksum 0x17cc (incorrect -> 0xb8b3), seq 2836451618, win 64240, options [mss 1460,sackOK,TS val 3940559992 ecr 0,nop,wscale 10], length 0
1795171998.206493 IP (tos 0x0, ttl 63, id 0, offset 0, flags [DF], proto TCP (6), length 60)
    10.77.2.2.8080 > 10.77.1.2.52126: Flags [S.], cksum 0x17cc (incorrect -> 0xe5cd), seq 252287788, ack 2836451619, win 65160, options [mss 1460], length 0
1795171998.206505 IP (tos 0x0, ttl 64, id 62800, offset 0, flags [DF], proto TCP (6), length 52)
    10.77.1.2.52126 > 10.77.2.2.8080: Flags [.], cksum 0x17c4 (incorrect -> 0x12e6), seq 2836451619, ack 252287789, win 63, options [nop], length 0
1795171998.206622 IP (tos 0x0, ttl 64, id 62801, offset 0, flags [DF], proto TCP (6), length 130)
    10.77.1.2.52126 > 10.77.2.2.8080: Flags [P.], cksum 0x1812 (incorrect -> 0x8d27), seq 2836451619:2836451697, ack 252287789, win 63, options [nop], length 78: HTTP, length: 78
	GET / HTTP/1.1
	Host: 10.77.2.2:8080
	
1795171998.206631 IP (tos 0x0, ttl 63, id 24993, offset 0, flags [DF], proto TCP (6), length 52)
    10.77.2.2.8080 > 10.77.1.2.52126: Flags [.], cksum 0x17c4 (incorrect -> 0x1297), seq 252287789, ack 2836451697, win 64, options [nop], length 0
1795171999.210401 IP (tos 0x0, ttl 64, id 62802, offset 0, flags [DF], proto TCP (6), length 52)
    10.77.1.2.52126 > 10.77.2.2.8080: Flags [.], cksum 0x17c4 (incorrect -> 0x0ead), seq 2836451696, ack 252287789, win 63, options [nop], length 0
1795171999.210452 IP (tos 0x0, ttl 63, id 24994, offset 0, flags [DF], proto TCP (6), length 52)
    10.77.2.2.8080 > 10.77.1.2.52126: Flags [.], cksum 0x17c4 (incorrect -> 0x0eab), seq 252287789, ack 2836451697, win 64, options [nop], length 0
1795172004.207571 IP (tos 0x0, ttl 63, id 24999, offset 0, flags [DF], proto TCP (6), length 144)
    10.77.2.2.8080 > 10.77.1.2.52126: Flags [FP.], cksum 0x1820 (incorrect -> 0xd018), seq 252287789:252287881, ack 2836451697, win 64, options [nop], length 92: HTTP, length: 92
1795172004.207719 IP (tos 0x0, ttl 63, id 25001, offset 0, flags [DF], proto TCP (6), length 52)
    10.77.1.2.52126 > 10.77.2.2.8080: Flags [F.], cksum 0x17c4 (incorrect -> 0xe354), seq 2836451697, ack 252287882, win 64, options [nop], length 0
";

fn kinds(capture: &str) -> Vec<Kind> {
    let mut reader = Reader::default();
    capture.lines().filter_map(|line| reader.read(line)).map(|segment| segment.kind).collect()
}

#[test]
fn each_segment_of_a_connection_is_told_for_what_it_is() {
    let expected = [
        Kind::Syn,
        Kind::SynAck,
        Kind::Ack,
        Kind::Data(78),
        Kind::Ack,
        Kind::KeepAliveProbe,
        Kind::KeepAliveAnswer,
        Kind::Data(92),
        Kind::Fin,
    ];

    assert_eq!(kinds(KEPT_ALIVE), expected);
}

#[test]
fn a_segment_has_its_time_and_its_ends() {
    let mut reader = Reader::default();

    let first = KEPT_ALIVE.lines().find_map(|line| reader.read(line)).unwrap();

    assert_eq!(first.time.to_string(), "1795171998.2064");
    assert_eq!(first.from, "10.77.1.2:52126".parse().unwrap());
    assert_eq!(first.to, "10.77.2.2:8080".parse().unwrap());
}

#[test]
fn ipv6_in_its_single_line_is_read() {
    let line = "1795172004.5 IP6 (flowlabel 0x5, hlim 64, next-header TCP (6) payload length: 40) \
                fd00::1.4000 > fd00::2.80: Flags [S], cksum 0x1 (correct), seq 7, win 1, options [], length 0";
    let mut reader = Reader::default();

    let segment = reader.read(line).unwrap();

    assert_eq!((segment.kind, segment.to), (Kind::Syn, "[fd00::2]:80".parse().unwrap()));
}

#[test]
fn a_probe_is_known_across_the_wrap_of_sequence_numbers() {
    let wrap = "\
1.0 IP (proto TCP)
    10.0.0.1.1 > 10.0.0.2.2: Flags [S], seq 4294967295, win 1, length 0
2.0 IP (proto TCP)
    10.0.0.1.1 > 10.0.0.2.2: Flags [.], seq 4294967295, ack 1, win 1, length 0
";

    assert_eq!(kinds(wrap), [Kind::Syn, Kind::KeepAliveProbe]);
}

#[test]
fn a_retransmission_does_not_make_the_next_acknowledgement_a_probe() {
    let retransmitted = "\
1.0 IP (proto TCP)
    10.0.0.1.1 > 10.0.0.2.2: Flags [P.], seq 100:150, ack 1, win 1, length 50
2.0 IP (proto TCP)
    10.0.0.1.1 > 10.0.0.2.2: Flags [P.], seq 100:120, ack 1, win 1, length 20
3.0 IP (proto TCP)
    10.0.0.1.1 > 10.0.0.2.2: Flags [.], seq 150, ack 1, win 1, length 0
4.0 IP (proto TCP)
    10.0.0.1.1 > 10.0.0.2.2: Flags [.], seq 149, ack 1, win 1, length 0
";

    assert_eq!(kinds(retransmitted), [Kind::Data(50), Kind::Data(20), Kind::Ack, Kind::KeepAliveProbe]);
}
