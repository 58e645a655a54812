//! What the command line says about it.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Options;
use crate::policy::parse_duration;

/// How it is found out whether keep-alive helped.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct HelpArgs {
    /// Whether to count, for `status`, peers that were found dead and connections that were kept alive: `auto` as far as
    /// the privileges go (CAP_PERFMON for the first), `none` not at all.
    #[arg(long, value_enum, value_name = "WHETHER", env = "KEEPALIVE_HELPED", default_value = "auto")]
    helped: Whether,
    /// How long a connection must have been silent to count as kept alive: what the tightest middlebox on the way takes
    /// for its end. 350s is that of AWS's NAT gateways and network load balancers, 4m that of Azure's.
    #[arg(
        long,
        value_name = "DURATION",
        env = "KEEPALIVE_SILENT_AFTER",
        default_value = "350s",
        value_parser = |text: &str| silence(text)
    )]
    silent_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whether {
    Auto,
    None,
}

impl HelpArgs {
    pub(crate) fn options(self) -> Options {
        Options { is_on: self.helped == Whether::Auto, silent_after: self.silent_after }
    }
}

/// Connections are looked at four times in it, and not more often than every second.
const SHORTEST: Duration = Duration::from_secs(4);
/// Silences are told in milliseconds of 32 bits.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

fn silence(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(silence) if (SHORTEST..=LONGEST).contains(&silence) => Ok(silence),
        Ok(_) => Err("it is not between 4s and 7d".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}
