//! A client and a server with a NAT between them that forgets silent connections.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{End, Netns, tool, veth};

/// What the NAT does with packets: it hides the clients behind its own address, and drops without a word whatever
/// belongs to no connection it knows. The server's late answer is addressed to the NAT itself, so that the input
/// chain must drop it too: otherwise the NAT's own TCP would tell the server with a reset.
const RULES: &str = "\
table ip nat {
    chain input {
        type filter hook input priority filter
        ct state invalid drop
    }
    chain forward {
        type filter hook forward priority filter
        ct state invalid drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname \"outside\" masquerade
    }
}
";

/// Three network namespaces in a row: client, NAT, server.
#[derive(Debug)]
pub struct Nat {
    /// Where the clients run; its interface is [`Nat::CLIENT_INTERFACE`].
    pub client: Netns,
    /// The NAT itself: interfaces `inside` and `outside`.
    pub nat: Netns,
    /// Where the server runs.
    pub server: Netns,
}

impl Nat {
    /// The client's only interface beside its loopback.
    pub const CLIENT_INTERFACE: &str = "eth0";
    /// The client's address.
    pub const CLIENT_ADDRESS: &str = "10.77.1.2";
    /// The server's address, which the client reaches through the NAT.
    pub const SERVER_ADDRESS: &str = "10.77.2.2";

    /// Builds the row; the NAT forgets a connection that was silent for `established`, in whole seconds.
    ///
    /// # Errors
    /// When `ip` or `nft` is missing or the kernel has no connection tracking.
    pub fn create(prefix: &str, established: Duration) -> Result<Self> {
        let (client, nat, server) = (
            Netns::create(prefix, "client")?,
            Netns::create(prefix, "nat")?,
            Netns::create(prefix, "server")?,
        );
        let end = |netns, interface, address| End { netns, interface, address };
        veth(end(&client, Self::CLIENT_INTERFACE, "10.77.1.2/24"), end(&nat, "inside", "10.77.1.1/24"))?;
        veth(end(&nat, "outside", "10.77.2.1/24"), end(&server, "eth0", "10.77.2.2/24"))?;
        client.default_route("10.77.1.1")?;

        // The rules come first: they make the kernel load connection tracking and with it the parameters.
        tool::output_with_input(nat.command(tool::path("nft")).args(["-f", "-"]), RULES)?;
        let conntrack = |key| format!("net.netfilter.nf_conntrack_tcp_{key}");
        nat.sysctl(&conntrack("timeout_established"), &established.as_secs().to_string())?;
        // A NAT that picked up connections in the middle would let a late packet bring them back.
        nat.sysctl(&conntrack("loose"), "0")?;
        nat.sysctl("net.ipv4.ip_forward", "1")?;
        Ok(Self { client, nat, server })
    }

    /// The TCP connections that the NAT knows.
    ///
    /// # Errors
    /// When `conntrack` fails or prints what this does not understand.
    pub fn flows(&self) -> Result<Vec<Flow>> {
        let table = tool::output(self.nat.command(tool::path("conntrack")).args(["-L", "-p", "tcp"]))?;
        let read = |line| parse(line).with_context(|| format!("conntrack printed {line:?}"));
        table.lines().map(read).collect()
    }
}

/// One TCP connection that a NAT remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The state as connection tracking names it: `ESTABLISHED`, `SYN_SENT`, …
    pub state: String,
    /// How long until it is forgotten, if nothing travels.
    pub remaining: Duration,
    /// The end that opened it.
    pub source: SocketAddrV4,
    /// The end that it was opened to.
    pub destination: SocketAddrV4,
}

/// `tcp 6 4 ESTABLISHED src=10.77.1.2 dst=10.77.2.2 sport=60828 dport=8080 src=… [ASSURED] mark=0 use=1`
fn parse(line: &str) -> Option<Flow> {
    let mut words = line.split_whitespace().skip(2);
    let remaining = Duration::from_secs(words.next()?.parse().ok()?);
    let state = words.next()?.to_owned();
    // Each key comes twice: first as the opener sees the connection, then as the answers come back.
    let first =
        |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let end =
        |address, port| Some(SocketAddrV4::new(first(address)?.parse().ok()?, first(port)?.parse().ok()?));
    Some(Flow { state, remaining, source: end("src", "sport")?, destination: end("dst", "dport")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_read_as_its_opener_sees_it() {
        let line = "tcp      6 4 ESTABLISHED src=10.77.1.2 dst=10.77.2.2 sport=60828 dport=8080 \
                    src=10.77.2.2 dst=10.77.2.1 sport=8080 dport=60828 [ASSURED] mark=0 use=1";

        let flow = parse(line);

        assert_eq!(
            flow,
            Some(Flow {
                state: "ESTABLISHED".to_owned(),
                remaining: Duration::from_secs(4),
                source: SocketAddrV4::new([10, 77, 1, 2].into(), 60828),
                destination: SocketAddrV4::new([10, 77, 2, 2].into(), 8080),
            })
        );
    }

    #[test]
    fn something_else_is_not_a_flow() {
        assert_eq!(parse("conntrack v1.4.7: 1 flow entries have been shown."), None);
    }
}
