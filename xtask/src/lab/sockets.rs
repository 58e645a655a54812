//! TCP connections of a network namespace with their timers, as the kernel's socket diagnosis shows them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::{Netns, tool};

/// One TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketRow {
    /// The state in the words of `ss`: `ESTAB`, `FIN-WAIT-1`, …
    pub state: String,
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// The timer that runs, if one does.
    pub timer: Option<Timer>,
    /// The processes that hold the socket.
    pub pids: Vec<u32>,
}

/// A running timer of a connection: `timer:(keepalive,59sec,0)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// `keepalive`, `on` (retransmission), `persist`, `timewait`.
    pub name: String,
    /// When it fires; `ss` shows whole seconds from ten seconds on.
    pub remaining: Duration,
    /// How often it has fired in vain.
    pub retries: u32,
    /// The timer as `ss` wrote it.
    pub shown: String,
}

impl SocketRow {
    /// What is left on the keep-alive timer, if it is that one which runs.
    pub fn keepalive(&self) -> Option<Duration> {
        self.timer.as_ref().filter(|timer| timer.name == "keepalive").map(|timer| timer.remaining)
    }
}

/// All TCP connections of `netns`, listeners left out.
///
/// # Errors
/// When `ss` fails or prints what this does not understand.
pub fn sockets(netns: &Netns) -> Result<Vec<SocketRow>> {
    let table = tool::output(netns.command(tool::path("ss")).args(["-tnopHO"]))?;
    table.lines().map(|line| parse(line).with_context(|| format!("ss printed {line:?}"))).collect()
}

fn parse(line: &str) -> Result<SocketRow> {
    let mut fields = line.split_whitespace();
    let mut next = |what| fields.next().ok_or_else(|| anyhow!("there is no {what}"));
    let state = next("state")?.to_owned();
    next("receive queue")?;
    next("send queue")?;
    let local = address(next("local address")?)?;
    let peer = address(next("peer address")?)?;
    let (mut timer, mut pids) = (None, Vec::new());
    for field in fields {
        if let Some(shown) = field.strip_prefix("timer:") {
            timer = Some(parse_timer(shown).with_context(|| format!("{shown:?} is not a timer"))?);
        } else if field.starts_with("users:") {
            pids = parse_pids(field);
        }
    }
    Ok(SocketRow { state, local, peer, timer, pids })
}

/// `10.0.0.1:80`, `[fd00::1]:80`, `[fe80::1]%eth0:80`.
fn address(text: &str) -> Result<SocketAddr> {
    let without_zone = match (text.find('%'), text.rfind(':')) {
        (Some(zone), Some(port)) => format!("{}{}", &text[..zone], &text[port..]),
        _ => text.to_owned(),
    };
    without_zone.parse().with_context(|| format!("{text:?} is not an address with a port"))
}

/// `(keepalive,59sec,0)`
fn parse_timer(shown: &str) -> Option<Timer> {
    let inner = shown.strip_prefix('(')?.strip_suffix(')')?;
    let mut parts = inner.split(',');
    let (name, remaining, retries) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Timer {
        name: name.to_owned(),
        remaining: duration(remaining)?,
        retries: retries.parse().ok()?,
        shown: shown.to_owned(),
    })
}

/// `119min`, `1min59sec`, `59sec`, `1.980ms` (seconds and thousandths, as `ss` writes them), `980ms`.
fn duration(text: &str) -> Option<Duration> {
    let (minutes, rest) = text.split_once("min").unwrap_or(("0", text));
    let minutes = Duration::from_secs(60 * minutes.parse::<u64>().ok()?);
    let rest = match rest.strip_suffix("ms") {
        Some(rest) => {
            let (seconds, thousandths) = rest.split_once('.').unwrap_or(("0", rest));
            Duration::from_secs(seconds.parse().ok()?) + Duration::from_millis(thousandths.parse().ok()?)
        }
        None if rest.is_empty() => Duration::ZERO,
        None => Duration::from_secs(rest.strip_suffix("sec")?.parse().ok()?),
    };
    Some(minutes + rest)
}

/// `users:(("java",pid=12,fd=5),("java",pid=13,fd=5))`
fn parse_pids(users: &str) -> Vec<u32> {
    users.split("pid=").skip(1).filter_map(|rest| rest.split(',').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn a_connection_with_keep_alive_is_read() {
        let line = r#"ESTAB 0      0      10.77.1.2:52126 10.77.2.2:8080 users:(("curl",pid=9647,fd=5)) timer:(keepalive,59sec,0)"#;

        let row = parse(line).unwrap();

        assert_eq!(row.state, "ESTAB");
        assert_eq!(row.local, "10.77.1.2:52126".parse().unwrap());
        assert_eq!(row.peer, "10.77.2.2:8080".parse().unwrap());
        assert_eq!(row.pids, [9647]);
        assert_eq!(row.keepalive(), Some(Duration::from_secs(59)));
        assert_eq!(row.timer.unwrap().shown, "(keepalive,59sec,0)");
    }

    #[test]
    fn a_connection_without_a_timer_is_read() {
        let row = parse("ESTAB 0 0 [::ffff:10.77.1.2]:52126 [fe80::1]%eth0:8080").unwrap();

        assert_eq!(row.timer, None);
        assert_eq!(row.local, "[::ffff:10.77.1.2]:52126".parse().unwrap());
        assert_eq!(row.peer, "[fe80::1]:8080".parse().unwrap());
    }

    #[test]
    fn a_retransmission_is_not_taken_for_keep_alive() {
        let row = parse("ESTAB 0 92 10.0.0.1:80 10.0.0.2:81 timer:(on,2.4ms,3)").unwrap();

        assert_eq!(row.keepalive(), None);
        assert_eq!(row.timer.unwrap().retries, 3);
    }

    #[test]
    fn all_ways_in_which_ss_writes_a_time_are_read() {
        let read = |text| duration(text).unwrap().as_millis();

        assert_eq!(read("119min"), 7_140_000);
        assert_eq!(read("1min59sec"), 119_000);
        assert_eq!(read("59sec"), 59_000);
        assert_eq!(read("1.980ms"), 1_980);
        assert_eq!(read("796ms"), 796);
        assert_eq!(duration("soon"), None);
    }

    #[test]
    fn every_holder_of_a_socket_is_listed() {
        assert_eq!(parse_pids(r#"users:(("a",pid=12,fd=5),("b",pid=13,fd=6))"#), [12, 13]);
    }
}
