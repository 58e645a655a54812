//! The look-up of the kernel against one that anybody can check: all rules, one after the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use keepalive_ebpf::{MOST_RULES, Timers};
use proptest::prelude::*;

use super::{Entry, compile, entry, numbered, remote};

/// A rule of the model.
#[derive(Clone, Debug)]
struct Modelled {
    net: Option<IpNet>,
    ports: Option<(u16, u16)>,
}

impl Modelled {
    fn entry(&self, number: u32) -> Entry {
        let net = self.net.map(|net| net.to_string());
        let ports = self.ports.map(|(first, last)| format!("{first}-{last}"));
        entry(net.as_deref(), ports.as_deref(), number)
    }

    fn matches(&self, address: IpAddr, port: u16) -> bool {
        let of_address = match (self.net, address) {
            (None, _) => true,
            (Some(IpNet::V6(net)), IpAddr::V4(address)) => net.contains(&address.to_ipv6_mapped()),
            (Some(net), address) => net.contains(&address),
        };
        of_address && self.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
    }

    /// How long its prefix is among addresses of IPv6.
    fn length(&self) -> u32 {
        match self.net {
            None => 0,
            Some(IpNet::V4(net)) => 96 + u32::from(net.prefix_len()),
            Some(IpNet::V6(net)) => net.prefix_len().into(),
        }
    }

    fn width(&self) -> u32 {
        self.ports.map_or(65536, |(first, last)| u32::from(last - first) + 1)
    }
}

/// The longest prefix wins, then the fewest ports, then the first in the list.
fn model(rules: &[Modelled], address: IpAddr, port: u16) -> Option<Timers> {
    let mut best: Option<usize> = None;
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.matches(address, port)) {
        let wins = best.is_none_or(|best| {
            let best = &rules[best];
            rule.length() > best.length() || rule.length() == best.length() && rule.width() < best.width()
        });
        if wins {
            best = Some(at);
        }
    }
    best.map(|at| numbered(u32::try_from(at).unwrap()))
}

/// Few different bits, so that prefixes nest and meet.
fn address() -> impl Strategy<Value = IpAddr> {
    let few = prop_oneof![Just(0_u128), Just(u128::MAX), any::<u128>()];
    let bits = (few, any::<u128>(), 0_u32..=128).prop_map(|(base, other, kept)| {
        let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
        (base & mask) | (other & 0x0101_0101_0101_0101_0101_0101_0101_0101 & !mask)
    });
    (any::<bool>(), bits).prop_map(|(is_v4, bits)| {
        let v6 = Ipv6Addr::from_bits(bits);
        let [.., a, b, c, d] = v6.octets();
        if is_v4 { Ipv4Addr::new(a, b, c, d).into() } else { v6.into() }
    })
}

fn net() -> impl Strategy<Value = IpNet> {
    (address(), 0_u8..=128).prop_map(|(address, length)| match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new(address, length % 33).unwrap().trunc().into(),
        IpAddr::V6(address) => Ipv6Net::new(address, length).unwrap().trunc().into(),
    })
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![1_u16..20, Just(65534_u16), Just(65535_u16), any::<u16>().prop_map(|port| port.max(1))]
}

fn rule() -> impl Strategy<Value = Modelled> {
    let ports = (port(), port()).prop_map(|(one, other)| (one.min(other), one.max(other)));
    (prop::option::weighted(0.9, net()), prop::option::weighted(0.6, ports))
        .prop_map(|(net, ports)| Modelled { net, ports })
}

/// The addresses at the edges of a prefix, and their neighbours outside of it.
fn edges(net: IpNet) -> Vec<IpAddr> {
    let (first, last) = (net.network(), net.broadcast());
    let step = |address: IpAddr, by: i8| match address {
        IpAddr::V4(address) => {
            address.to_bits().checked_add_signed(by.into()).map(|it| Ipv4Addr::from(it).into())
        }
        IpAddr::V6(address) => {
            address.to_bits().checked_add_signed(by.into()).map(|it| Ipv6Addr::from(it).into())
        }
    };
    [Some(first), Some(last), step(first, -1), step(last, 1)].into_iter().flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn every_destination_has_the_rule_that_a_reader_would_find(
        rules in prop::collection::vec(rule(), 1..=MOST_RULES),
        others in prop::collection::vec((address(), any::<u16>()), 20),
    ) {
        let entries: Vec<_> = (0..).zip(&rules).map(|(number, rule)| rule.entry(number)).collect();
        let compiled = compile(entries);

        let ports = rules.iter().filter_map(|rule| rule.ports);
        let ports = ports.flat_map(|(first, last)| [first - 1, first, last, last.saturating_add(1)]);
        let ports: Vec<u16> = ports.chain([0, 65535]).collect();
        let addresses: Vec<_> = rules.iter().filter_map(|rule| rule.net).flat_map(edges).collect();
        let at_edges = addresses.iter().enumerate().flat_map(|(at, address)| {
            // Not each with each, which would be a hundred thousand.
            let some = ports.iter().cycle().skip(at * 7).take(8);
            some.map(|port| (*address, *port))
        });
        for (address, port) in at_edges.chain(others.iter().copied()) {
            // The kernel has a connection to a mapped address as one of IPv4.
            let address = address.to_canonical();
            let found = compiled.rules.find(&remote(address, port));
            prop_assert_eq!(found, model(&rules, address, port), "{} port {}", address, port);
        }
    }
}
