//! By which network namespaces of the node a connection may be forwarded: those that have an address that another's
//! routes name as their gateway, and so on from there.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use super::namespace::lines;

/// Flags of routes, as `linux/route.h` has them.
const VIA_GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

/// Where a namespace sends what is not for itself, and by which addresses others send it theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routing {
    addresses: BTreeSet<IpAddr>,
    gateways: BTreeSet<IpAddr>,
    /// Whether there is a route to everything that names an interface and no gateway.
    has_unnamed_gateway: bool,
}

/// Reads the routes and addresses of the calling thread's network namespace in a `/proc`.
pub(super) fn read(proc: &Path) -> Routing {
    of_files(|name| lines(&proc.join("thread-self/net").join(name)))
}

/// Reads them in the lines of the files of these names.
pub(crate) fn of_files<I: Iterator<Item = String>>(of_thread: impl Fn(&str) -> I) -> Routing {
    let mut routing = Routing::default();
    let v4 = of_thread("route").filter_map(|line| v4_route(&line));
    let v6 = of_thread("ipv6_route").filter_map(|line| v6_route(&line));
    for route in v4.chain(v6) {
        match route {
            Route::Via(gateway) => {
                routing.gateways.insert(gateway);
            }
            Route::Unnamed => routing.has_unnamed_gateway = true,
        }
    }
    routing.addresses.extend(v4_addresses(of_thread("fib_trie")));
    routing.addresses.extend(of_thread("if_inet6").filter_map(|line| v6_address(&line)));
    routing
}

/// Of each namespace, given with whether it forwards, those that may forward for it; `node` is the node's own.
pub(crate) fn forwarders(namespaces: &[(bool, Routing)], node: usize) -> Vec<BTreeSet<usize>> {
    let mut owners: HashMap<IpAddr, Vec<usize>> = HashMap::new();
    for (index, (_, routing)) in namespaces.iter().enumerate().filter(|(_, (forwards, _))| *forwards) {
        for address in &routing.addresses {
            owners.entry(*address).or_default().push(index);
        }
    }
    let does_node_forward = namespaces.get(node).is_some_and(|(forwards, _)| *forwards);
    let next = |index: usize| {
        let routing = namespaces.get(index).map(|(_, routing)| routing);
        let gateways = || routing.into_iter().flat_map(|it| &it.gateways);
        let is_elsewhere = gateways().any(|gateway| !owners.contains_key(gateway));
        // A gateway that nobody has is one for which the node answers in its place; the node's own is outside.
        let by_node = (is_elsewhere || routing.is_some_and(|it| it.has_unnamed_gateway)) && does_node_forward;
        let named: Vec<_> = gateways().filter_map(|gateway| owners.get(gateway)).flatten().copied().collect();
        named.into_iter().chain(by_node.then_some(node))
    };
    let all = (0..namespaces.len()).map(|start| {
        let mut found = BTreeSet::new();
        let mut unseen = vec![start];
        while let Some(index) = unseen.pop() {
            unseen.extend(next(index).filter(|it| *it != start && found.insert(*it)));
        }
        found
    });
    all.collect()
}

enum Route {
    Via(IpAddr),
    Unnamed,
}

impl Route {
    /// What matters of a route.
    fn new(flags: u32, interface: &str, is_to_all: bool, gateway: IpAddr) -> Option<Self> {
        if flags & REJECT != 0 || interface == "lo" {
            return None;
        }
        if flags & VIA_GATEWAY != 0 {
            return Some(Self::Via(gateway));
        }
        is_to_all.then_some(Self::Unnamed)
    }
}

/// `eth0 00000000 010200C0 0003 …`, where addresses are as they lie in memory.
fn v4_route(line: &str) -> Option<Route> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [interface, destination, gateway, flags, _, _, _, mask, ..] = fields[..] else { return None };
    let [destination, gateway, flags, mask] =
        [destination, gateway, flags, mask].map(|field| u32::from_str_radix(field, 16));
    let is_to_all = (destination.ok()?, mask.ok()?) == (0, 0);
    Route::new(flags.ok()?, interface, is_to_all, Ipv4Addr::from(gateway.ok()?.to_ne_bytes()).into())
}

/// Destination, its length, source, its length, gateway, metric, references, uses, flags, interface.
fn v6_route(line: &str) -> Option<Route> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [_, length, _, _, gateway, _, _, _, flags, interface] = fields[..] else { return None };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    Route::new(flags, interface, length == "00", hex_v6(gateway)?.into())
}

/// The node's own addresses among the leaves of the tree: the address in a line, and that it is local in the next.
fn v4_addresses(fib_trie: impl Iterator<Item = String>) -> BTreeSet<IpAddr> {
    let mut leaf = None;
    let mut addresses = BTreeSet::new();
    for line in fib_trie {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            addresses.extend(leaf.filter(|it| !it.is_loopback()).map(IpAddr::from));
        }
    }
    addresses
}

/// `fe8000000000000000fc00fffe000001 04 40 20 80 eth0`
fn v6_address(line: &str) -> Option<IpAddr> {
    let address = hex_v6(line.split_whitespace().next()?)?;
    (!address.is_loopback()).then_some(address.into())
}

fn hex_v6(text: &str) -> Option<Ipv6Addr> {
    u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const FIB_TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 127.0.0.1
        /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
";

    fn routing(addresses: &[&str], gateways: &[&str], has_unnamed_gateway: bool) -> Routing {
        let read = |them: &[&str]| them.iter().filter_map(|it| it.parse().ok()).collect();
        Routing { addresses: read(addresses), gateways: read(gateways), has_unnamed_gateway }
    }

    #[test]
    fn routes_and_addresses_are_read_as_the_kernel_writes_them() {
        let gateway = u32::from_ne_bytes([192, 0, 2, 1]);
        let route = format!(
            "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
             eth0 00000000 {gateway:08X} 0003 0 0 0 00000000 0 0 0\neth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
        );
        let zero = "0".repeat(32);
        let fd = |last: u8| format!("fd{last:030x}");
        let route6 = format!(
            "{} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth0\n\
             {zero} 00 {zero} 00 {} 00000400 00000003 00000000 00000003     eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n",
            fd(0),
            fd(1)
        );
        let inet6 = format!("{} 04 40 20 80     eth0\n{zero:.31}1 01 80 10 80       lo\n", fd(2));
        let proc = TempDir::new().expect("a directory");
        let net = proc.path().join("thread-self/net");
        fs::create_dir_all(&net).expect("it is ours");
        for (name, text) in
            [("route", &route[..]), ("ipv6_route", &route6), ("fib_trie", FIB_TRIE), ("if_inet6", &inet6)]
        {
            fs::write(net.join(name), text).expect("it is ours");
        }

        let found = read(proc.path());

        assert_eq!(found, routing(&["192.0.2.2", "fd00::2"], &["192.0.2.1", "fd00::1"], false));
        assert_eq!(read(Path::new("/nonexistent")), Routing::default());
    }

    #[test]
    fn a_route_to_everything_without_a_gateway_is_answered_for_by_somebody() {
        let line = "eth0 00000000 00000000 0001 0 0 0 00000000 0 0 0";

        assert!(matches!(v4_route(line), Some(Route::Unnamed)));
        assert!(v4_route(&line.replace(" 0001 ", " 0201 ")).is_none(), "nothing gets through there");
    }

    #[test]
    fn those_forward_whose_address_is_the_gateway_and_those_they_send_it_to() {
        let namespaces = [
            (true, routing(&["192.0.2.2", "10.1.0.1"], &["192.0.2.1"], false)),
            (false, routing(&["10.1.0.2"], &["10.1.0.1"], false)),
            (false, routing(&["10.77.1.2"], &["10.77.1.1"], false)),
            (true, routing(&["10.77.1.1", "10.77.2.1"], &["10.1.0.1"], false)),
            (true, routing(&["10.88.0.1"], &[], false)),
            (false, routing(&["10.79.3.1"], &[], false)),
            (false, routing(&["10.2.0.2"], &["169.254.1.1"], false)),
            (false, routing(&["10.2.0.3"], &[], true)),
        ];

        let forwarders = forwarders(&namespaces, 0);

        let expected: [&[usize]; 8] = [&[], &[0], &[0, 3], &[0], &[], &[], &[0], &[0]];
        for (index, expected) in expected.into_iter().enumerate() {
            assert_eq!(forwarders[index], expected.iter().copied().collect(), "{index}");
        }
    }

    #[test]
    fn gateways_in_a_circle_end_somewhere() {
        let namespaces = [
            (true, routing(&["10.0.0.1"], &["10.0.0.2"], false)),
            (true, routing(&["10.0.0.2"], &["10.0.0.1"], false)),
        ];

        assert_eq!(forwarders(&namespaces, 0), [BTreeSet::from([1]), BTreeSet::from([0])]);
    }
}
