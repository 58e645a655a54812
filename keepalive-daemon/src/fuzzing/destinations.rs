//! Rules for destinations, as the kernel looks them up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use keepalive_ebpf::{Remote, Timers};
use serde_json::{Value, json};

use super::{draw::Draw, policies::mistakes};
use crate::policy::{Cidr, Limits, Policy, Ports, RuleSets, parse};

/// The longest prefix of an IPv6 address that no IPv4 address is mapped behind.
const MAPPED: u32 = 96;

/// Looks remote ends up among rules: what is found is what a reader of the rules would find, of all rules one after the
/// other. And reads any texts as prefixes and ports.
///
/// # Panics
/// If another rule is found, or what was read is shown as another.
pub fn destinations(data: &[u8]) {
    let mut draw = Draw::new(data);
    if draw.coin() { rules(&mut draw) } else { texts(&mut draw) }
}

fn texts(draw: &mut Draw<'_>) {
    let (cidr, ports) = (draw.text(), draw.text());
    if let Ok(cidr) = cidr.parse::<Cidr>() {
        assert_eq!(cidr.to_string().parse(), Ok(cidr));
    }
    if let Ok(ports) = ports.parse::<Ports>() {
        assert_eq!(ports.to_string().parse(), Ok(ports));
    }
    let text = document(&json!([{"cidr": cidr, "ports": [ports]}]));
    if let Err(diagnostics) = parse("fuzz.yaml", &text, &Limits::default()) {
        mistakes(&text, &diagnostics);
    }
}

fn document(rules: &Value) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: KeepalivePolicy\nmetadata: {{name: a, namespace: b}}\n\
         spec: {{destinations: {rules}}}\n"
    )
}

/// A rule as written: its prefix and its ports.
type Written = (Option<IpNet>, Vec<(u16, u16)>);

fn rules(draw: &mut Draw<'_>) {
    let rules: Vec<Written> = (0..=draw.below(12)).map(|_| rule(draw)).collect();
    let printed: Vec<Value> = (10..).zip(&rules).map(|(idle, rule)| print(rule, idle)).collect();
    let text = document(&printed.into());
    let Ok(policies) = parse("fuzz.yaml", &text, &Limits::default()) else {
        // Ports twice in a rule.
        return;
    };
    let Some(policy) = policies.first() else { return };
    let mut sets = RuleSets::default();
    let compiled = sets.of(policy, &policy.inherited()).expect("it has rules");
    assert!(compiled.id != 0);
    look_up(draw, policy, &rules, |remote| compiled.rules.find(remote));
}

fn look_up(
    draw: &mut Draw<'_>,
    policy: &Policy,
    rules: &[Written],
    find: impl Fn(&Remote) -> Option<Timers>,
) {
    let edges = rules.iter().filter_map(|(net, _)| *net).flat_map(|net| [net.network(), net.broadcast()]);
    let edges: Vec<IpAddr> = edges.flat_map(|address| [Some(address), next(address)]).flatten().collect();
    let ports = rules
        .iter()
        .flat_map(|(_, ports)| ports)
        .flat_map(|(first, last)| [first.saturating_sub(1), *first, *last, last.saturating_add(1)]);
    let ports: Vec<u16> = ports.take(16).chain([draw.port()]).collect();
    for address in edges.into_iter().take(32).chain([draw.address(), draw.address()]) {
        // A connection to a mapped address is one of IPv4 to the kernel.
        let address = address.to_canonical();
        for port in &ports {
            let expected =
                model(rules, address, *port).map(|at| policy.destinations.as_ref().map(|it| &it.rules()[at]));
            let expected = expected.flatten().map(|rule| rule.timers(&policy.inherited()));
            assert_eq!(find(&remote(address, *port)), expected, "{address} port {port} in {rules:?}");
        }
    }
}

impl Draw<'_> {
    /// Few different bits, so that prefixes nest and meet.
    fn address(&mut self) -> IpAddr {
        let bytes = [0, 0x01, 0x80, 0xff];
        let mut octets: [u8; 16] = std::array::from_fn(|_| self.one_of(&bytes));
        match self.below(4) {
            0 => return Ipv4Addr::new(10, octets[0], octets[1], octets[2]).into(),
            1 => return Ipv4Addr::new(octets[0], octets[1], octets[2], self.byte()).into(),
            // Mapped.
            2 => octets[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            _ => {}
        }
        Ipv6Addr::from(octets).into()
    }

    fn port(&mut self) -> u16 {
        let any = u16::from(self.byte()) << 8 | u16::from(self.byte());
        let port = self.one_of(&[1, 80, 81, 443, 5432, 65_534, 65_535, any]);
        port.max(1)
    }
}

fn rule(draw: &mut Draw<'_>) -> Written {
    let net = draw.coin().then(|| {
        let address = draw.address();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, draw.byte() % (longest + 1)).expect("it is no longer than that").trunc()
    });
    let most = if net.is_some() { 0 } else { 1 };
    let ports = (0..draw.below(3).max(most)).map(|_| {
        let (one, other) = (draw.port(), draw.port());
        (one.min(other), one.max(other))
    });
    (net, ports.collect())
}

fn print((net, ports): &Written, idle: u32) -> Value {
    let ports: Vec<_> = ports.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    let mut rule = json!({"keepalive": {"idle": format!("{idle}s")}});
    if let Some(net) = net {
        rule["cidr"] = net.to_string().into();
    }
    if !ports.is_empty() {
        rule["ports"] = ports.into();
    }
    rule
}

/// The rule that wins: that of the longest prefix, then of the fewest ports, then the first.
fn model(rules: &[Written], address: IpAddr, port: u16) -> Option<usize> {
    let mut best: Option<((u32, i64), usize)> = None;
    for (at, (net, ports)) in rules.iter().enumerate() {
        let matches = net.is_none_or(|net| match (net, address) {
            (IpNet::V6(net), IpAddr::V4(address)) => net.contains(&address.to_ipv6_mapped()),
            _ => net.contains(&address),
        });
        let length = net.map_or(0, |net| match net {
            IpNet::V4(net) => MAPPED + u32::from(net.prefix_len()),
            IpNet::V6(net) => net.prefix_len().into(),
        });
        let all = [(0, u16::MAX)];
        let ports = if ports.is_empty() { &all[..] } else { ports };
        for (first, last) in ports.iter().filter(|_| matches) {
            let rank = (length, -i64::from(last - first));
            if (first..=last).contains(&&port) && best.is_none_or(|(best, _)| rank > best) {
                best = Some((rank, at));
            }
        }
    }
    best.map(|(_, at)| at)
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from(bits).into()),
    }
}

fn remote(address: IpAddr, port: u16) -> Remote {
    match address {
        IpAddr::V4(address) => Remote::v4(address.to_bits(), port),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments().map(u32::from);
            Remote::v6([a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h], port)
        }
    }
}
