//! Prefixes of addresses, as people write them and as they lie among all addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};

use crate::policy::diagnostic::{Fault, quote};

/// How many bits of an IPv6 address come before an IPv4 address that is mapped into it.
const MAPPED: u8 = 96;

/// A prefix of addresses; one of IPv4 if it is of mapped addresses alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(IpNet);

impl FromStr for Cidr {
    type Err = Fault;

    /// A prefix without bits behind it, or a single address.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| {
            Fault::new(
                format!("{} is not a prefix of addresses", quote(text)),
                "write one such as `10.0.0.0/8` or `2001:db8::/32`, or an address; names are not resolved",
            )
        })?;
        let net = match length {
            None => IpNet::from(address),
            Some(length) => with_length(address, length)?,
        };
        if net.addr() != net.network() {
            return Err(Fault::new(
                format!("{} has bits set behind its prefix", quote(text)),
                format!("write `{}`, or `{address}` for this address alone", net.trunc()),
            ));
        }
        Ok(Self(unmapped(net)))
    }
}

/// `address` cut to a prefix; `length` is all that is behind the slash.
fn with_length(address: IpAddr, length: &str) -> Result<IpNet, Fault> {
    let is_number = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let net = length.parse().ok().filter(|_| is_number).and_then(|length| IpNet::new(address, length).ok());
    net.ok_or_else(|| {
        let (family, most) = if address.is_ipv4() { ("IPv4", 32) } else { ("IPv6", 128) };
        Fault::new(
            format!("{} is not the length of an {family} prefix", quote(length)),
            format!("write 0 to {most}"),
        )
    })
}

/// A prefix of mapped addresses as the prefix of IPv4 addresses that it is: the kernel has a connection to them as one
/// of IPv4, whatever the family of its socket.
fn unmapped(net: IpNet) -> IpNet {
    let of_v4 = |net: ipnet::Ipv6Net| {
        let length = net.prefix_len().checked_sub(MAPPED)?;
        Ipv4Net::new(net.addr().to_ipv4_mapped()?, length).ok()
    };
    match net {
        IpNet::V6(v6) => of_v4(v6).map_or(net, IpNet::V4),
        IpNet::V4(_) => net,
    }
}

impl Cidr {
    /// The first and the last address, those of IPv4 mapped.
    pub(super) fn bounds(&self) -> (u128, u128) {
        match self.0 {
            IpNet::V4(net) => {
                let mapped = |address: std::net::Ipv4Addr| Ipv6Addr::to_bits(address.to_ipv6_mapped());
                (mapped(net.network()), mapped(net.broadcast()))
            }
            IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
        }
    }

    /// How many bits of an address, which is a mapped one for IPv4, it fixes.
    pub(super) fn length(&self) -> u8 {
        match self.0 {
            IpNet::V4(net) => MAPPED + net.prefix_len(),
            IpNet::V6(net) => net.prefix_len(),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}
