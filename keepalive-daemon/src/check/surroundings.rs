//! What may be on the way of a connection: what was chosen, and what the node itself does.

use std::{collections::HashMap, path::Path};

use super::Middlebox;
use crate::facts::{Conntrack, Facts, Ipvs, Namespace};

/// Where `ip netns` keeps namespaces by name.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// What is around the connections of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// On the way of everything that leaves the machine.
    chosen: Vec<Middlebox>,
    /// What is at work in a namespace, by what tells that from all others: where one was found another may be by now.
    of_namespaces: HashMap<String, OfNamespace>,
}

#[derive(Clone, Debug, Default)]
struct OfNamespace {
    own: Vec<Middlebox>,
    /// What is at work where its traffic may be forwarded.
    forwarding: Vec<Middlebox>,
}

impl Surroundings {
    pub(crate) fn new(chosen: Vec<Middlebox>, facts: &Facts) -> Self {
        // Within the facts, which were gathered in one go, a name is of one namespace.
        let by_name: HashMap<_, _> = facts.namespaces.iter().map(|it| (&it.name, it)).collect();
        let of_namespaces = facts.namespaces.iter().map(|it| {
            let forwarders = it.forwarded_by.iter().filter_map(|name| by_name.get(name));
            let forwarding = forwarders.flat_map(|it| middleboxes(it)).collect();
            (it.id.clone(), OfNamespace { own: middleboxes(it), forwarding })
        });
        Self { chosen, of_namespaces: of_namespaces.collect() }
    }

    /// What may be on the way from the network namespace of this id. What does not leave it passes nothing but what tracks there.
    pub(crate) fn on_the_way(&self, network_id: &str, leaves: bool) -> impl Iterator<Item = &Middlebox> {
        let namespace = self.of_namespaces.get(network_id);
        let own = namespace.into_iter().flat_map(|it| &it.own);
        let forwarding = namespace.into_iter().flat_map(|it| &it.forwarding).filter(move |_| leaves);
        own.chain(forwarding).chain(self.chosen.iter().filter(move |_| leaves))
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
        _ if namespace.is_nodes => "this node".to_owned(),
        Some(name) => format!("the network namespace {}", name.display()),
        None => format!("the network namespace {}", namespace.name),
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn namespace(name: &str, forwards: bool, timeout: u32) -> Namespace {
        let conntrack =
            Conntrack { established_timeout_seconds: timeout, entries: 3, in_use: timeout != 432_000 };
        let (name, id) = (name.to_owned(), id(name));
        Namespace { name, id, forwards, conntrack: Some(conntrack), ..Namespace::default() }
    }

    fn id(name: &str) -> String {
        format!("4:{}", name.bytes().map(u32::from).sum::<u32>())
    }

    fn surroundings() -> Surroundings {
        let by = |name: &str, it: Namespace| Namespace { forwarded_by: vec![name.to_owned()], ..it };
        let node = Namespace {
            is_nodes: true,
            ipvs: Some(Ipvs::new(2)),
            ..namespace("/proc/1/ns/net", true, 86_400)
        };
        let namespaces = vec![
            node,
            by("/proc/1/ns/net", namespace("/run/netns/nat", true, 5)),
            by("/run/netns/nat", namespace("/proc/77/ns/net", false, 60)),
            by("/run/netns/nat", namespace("/proc/88/ns/net", true, 432_000)),
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

    fn on_the_way(network: &str, leaves: bool) -> Vec<(String, u32)> {
        let surroundings = surroundings();
        let id = id(network);
        let found = surroundings.on_the_way(&id, leaves);
        found.map(|it| (it.name.clone(), it.idle_timeout_seconds)).collect()
    }

    #[test]
    fn a_connection_passes_its_own_namespace_those_that_forward_for_it_and_what_was_chosen() {
        let nat = ("the NAT or firewall of the network namespace nat".to_owned(), 5);
        let far = ("the far one".to_owned(), 350);
        let own = ("the connection tracking of the network namespace /proc/77/ns/net".to_owned(), 60);
        let node = ["the NAT or firewall of this node", "IPVS of this node"];
        let node = [(node[0].to_owned(), 86_400), (node[1].to_owned(), 900)];

        assert_eq!(on_the_way("/proc/77/ns/net", true), [own, nat.clone(), far.clone()]);
        assert_eq!(
            on_the_way("/proc/88/ns/net", true),
            [nat.clone(), far.clone()],
            "nothing is tracked there"
        );
        assert_eq!(on_the_way("/proc/99/ns/net", true), from_ref(&far), "of one that nobody knows");
        let [tracking, ipvs] = node;
        assert_eq!(on_the_way("/run/netns/nat", true), [nat, tracking.clone(), ipvs.clone(), far.clone()]);
        assert_eq!(on_the_way("/proc/1/ns/net", true), [tracking, ipvs, far]);
    }

    #[test]
    fn where_a_namespace_was_found_another_may_be_by_now() {
        let namespaces = ["4:1", "4:2"].map(|id| Namespace {
            id: id.to_owned(),
            ..namespace("/proc/77/ns/net", false, if id == "4:1" { 60 } else { 70 })
        });
        let facts = Facts { namespaces: namespaces.to_vec(), ..Facts::default() };

        let surroundings = Surroundings::new(Vec::new(), &facts);

        let timeouts = ["4:1", "4:2"].map(|id| {
            surroundings.on_the_way(id, true).map(|it| it.idle_timeout_seconds).collect::<Vec<_>>()
        });
        assert_eq!(timeouts, [[60], [70]]);
    }

    #[test]
    fn what_stays_inside_passes_only_what_tracks_there() {
        assert_eq!(on_the_way("/proc/77/ns/net", false).len(), 1);
        assert_eq!(on_the_way("/proc/88/ns/net", false).len(), 0);
    }
}
