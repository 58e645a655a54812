//! Where metrics are served.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Nowhere.
    Off,
    At(SocketAddr),
    /// On all addresses, of both families where there are both.
    Everywhere(u16),
}

impl Address {
    /// What to try to listen on, in this order. An IPv6 socket that is bound to no address takes IPv4 as well; a kernel
    /// without IPv6 has none.
    pub(super) fn candidates(self) -> Vec<SocketAddr> {
        match self {
            Self::Off => Vec::new(),
            Self::At(address) => vec![address],
            Self::Everywhere(port) => [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
                .map(|ip| SocketAddr::new(ip, port))
                .into(),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Off);
        }
        if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
            return port.parse().map(Self::Everywhere).map_err(|_| format!("`{port}` is no port"));
        }
        text.parse().map(Self::At).map_err(|_| {
            "write an address with its port, such as `127.0.0.1:9798` or `[::1]:9798`, `:9798` for all addresses, or \
             `none`"
                .to_owned()
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("none"),
            Self::At(address) => address.fmt(f),
            Self::Everywhere(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_read_and_shown_alike() {
        for text in ["none", "127.0.0.1:9798", "[::1]:9798", ":9798"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!(":9".parse(), Ok(Address::Everywhere(9)));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_be() {
        for text in ["", "9798", "localhost:9798", "::1:9798", "127.0.0.1", "off"] {
            let reason = text.parse::<Address>().unwrap_err();
            assert!(reason.contains("[::1]:9798"), "{text}: {reason}");
        }
        assert_eq!(":http".parse::<Address>().unwrap_err(), "`http` is no port");
    }

    #[test]
    fn everywhere_is_both_families_or_else_the_old_one() {
        let candidates: Vec<String> =
            Address::Everywhere(9798).candidates().iter().map(ToString::to_string).collect();

        assert_eq!(candidates, ["[::]:9798", "0.0.0.0:9798"]);
    }
}
