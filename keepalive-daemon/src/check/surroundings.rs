//! What may be on the way of a connection: what was chosen, and what the node itself does.

use std::{collections::HashMap, net::IpAddr, path::Path};

use super::Middlebox;
use crate::facts::{Conntrack, Facts, Ipvs, Namespace};

/// Where `ip netns` keeps namespaces by name.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// What is around the connections of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// Of everything that leaves the machine.
    chosen: Vec<Middlebox>,
    /// What forwards for others, by its namespace, the strictest first. Which connections pass it nobody tells, so
    /// that one is enough: the strictest that is not the connection's own.
    forwarding: Vec<(String, Middlebox)>,
    /// What tracks the connections of a namespace itself, by that.
    own: HashMap<String, Vec<Middlebox>>,
}

impl Surroundings {
    pub(crate) fn new(chosen: Vec<Middlebox>, facts: &Facts) -> Self {
        let mut surroundings = Self { chosen, ..Self::default() };
        for namespace in &facts.namespaces {
            let found = middleboxes(namespace);
            if namespace.forwards {
                let forwarding = found.iter().map(|it| (namespace.name.clone(), it.clone()));
                surroundings.forwarding.extend(forwarding);
            }
            surroundings.own.insert(namespace.name.clone(), found);
        }
        surroundings.forwarding.sort_by_key(|(_, it)| it.idle_timeout_seconds);
        surroundings
    }

    /// What may be on the way from this network namespace to this address.
    pub(crate) fn on_the_way(&self, network: &str, remote: IpAddr) -> impl Iterator<Item = &Middlebox> {
        // What stays in its namespace passes nothing but what tracks there.
        let leaves = !remote.to_canonical().is_loopback();
        let own = self.own.get(network).into_iter().flatten();
        let forwarding = self.forwarding.iter().find(|(name, _)| name != network).map(|(_, it)| it);
        own.chain(forwarding.filter(|_| leaves)).chain(self.chosen.iter().filter(move |_| leaves))
    }

    /// All of it, the strictest first.
    pub(crate) fn all(&self) -> Vec<&Middlebox> {
        let own = self.own.values().flatten().chain(self.forwarding.iter().map(|(_, it)| it));
        let mut all: Vec<_> = own.chain(&self.chosen).collect();
        all.sort_by_key(|it| (it.idle_timeout_seconds, *it));
        all.dedup();
        all
    }
}

fn middleboxes(namespace: &Namespace) -> Vec<Middlebox> {
    let Namespace { conntrack, ipvs, forwards, .. } = namespace;
    let place = place(namespace);
    let conntrack = conntrack.as_ref().filter(|it| it.in_use).map(|it| {
        let Conntrack { established_timeout_seconds, .. } = it;
        let what = if *forwards { "the NAT or firewall of" } else { "the connection tracking of" };
        Middlebox {
            name: format!("{what} {place}"),
            idle_timeout_seconds: *established_timeout_seconds,
            keep_alive_helps: true,
            on_expiry:
                "a NAT forgets it; a firewall takes later packets for invalid, or for a new connection"
                    .to_owned(),
            source: format!(
                "net.netfilter.nf_conntrack_tcp_timeout_established of {}, read now",
                namespace.name
            ),
        }
    });
    let ipvs = ipvs.as_ref().map(|Ipvs { assumed_tcp_timeout_seconds, .. }| Middlebox {
        name: format!("IPVS of {place}"),
        idle_timeout_seconds: *assumed_tcp_timeout_seconds,
        keep_alive_helps: true,
        on_expiry: "forgotten; later packets are answered with a reset, or vanish".to_owned(),
        source: format!(
            "the kernel's default; `nsenter --net={} ipvsadm -l --timeout` tells whether it was changed",
            namespace.name
        ),
    });
    conntrack.into_iter().chain(ipvs).collect()
}

/// What people call a namespace.
fn place(namespace: &Namespace) -> String {
    let path = Path::new(&namespace.name);
    let named = NAMED.iter().find_map(|directory| path.strip_prefix(directory).ok());
    match named {
        _ if namespace.is_daemons => "this node".to_owned(),
        Some(name) => format!("the network namespace {}", name.display()),
        None => format!("the network namespace {}", namespace.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, forwards: bool, timeout: u32) -> Namespace {
        let conntrack =
            Conntrack { established_timeout_seconds: timeout, entries: 3, in_use: timeout != 432_000 };
        Namespace { name: name.to_owned(), forwards, conntrack: Some(conntrack), ..Namespace::default() }
    }

    fn surroundings() -> Surroundings {
        let node = Namespace {
            is_daemons: true,
            ipvs: Some(Ipvs::new(2)),
            ..namespace("/proc/1/ns/net", true, 86_400)
        };
        let namespaces = vec![
            node,
            namespace("/run/netns/nat", true, 5),
            namespace("/proc/77/ns/net", false, 60),
            namespace("/proc/88/ns/net", true, 432_000),
        ];
        let far = Middlebox {
            name: "the far one".to_owned(),
            idle_timeout_seconds: 350,
            keep_alive_helps: true,
            on_expiry: "forgotten".to_owned(),
            source: "a page".to_owned(),
        };
        Surroundings::new(vec![far], &Facts { namespaces, ..Facts::default() })
    }

    fn on_the_way(network: &str, remote: &str) -> Vec<(String, u32)> {
        let remote = remote.parse().expect("an address");
        let surroundings = surroundings();
        let found = surroundings.on_the_way(network, remote);
        found.map(|it| (it.name.clone(), it.idle_timeout_seconds)).collect()
    }

    #[test]
    fn a_connection_passes_its_own_namespace_the_strictest_that_forwards_and_what_was_chosen() {
        let nat = ("the NAT or firewall of the network namespace nat".to_owned(), 5);
        let far = ("the far one".to_owned(), 350);
        let own = ("the connection tracking of the network namespace /proc/77/ns/net".to_owned(), 60);

        assert_eq!(on_the_way("/proc/77/ns/net", "10.0.0.9"), [own, nat.clone(), far.clone()]);
        assert_eq!(
            on_the_way("/proc/99/ns/net", "10.0.0.9"),
            [nat.clone(), far.clone()],
            "of an unknown one"
        );
        assert_eq!(on_the_way("/proc/88/ns/net", "2001:db8::9"), [nat, far], "nothing is tracked there");
    }

    #[test]
    fn the_node_itself_is_not_on_its_own_way_twice() {
        let names: Vec<_> = on_the_way("/proc/1/ns/net", "10.0.0.9").into_iter().map(|it| it.0).collect();

        assert_eq!(names[..2], ["the NAT or firewall of this node", "IPVS of this node"]);
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn what_stays_inside_passes_only_what_tracks_there() {
        for remote in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(on_the_way("/proc/77/ns/net", remote).len(), 1, "{remote}");
            assert_eq!(on_the_way("/proc/88/ns/net", remote).len(), 0, "{remote}");
        }
    }
}
