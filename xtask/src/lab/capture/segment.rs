//! Reads what `tcpdump -tt -S -vv` prints about TCP.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// One captured TCP segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// When it passed, in seconds since 1970.
    pub time: f64,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it is addressed to.
    pub to: SocketAddr,
    /// What it is for.
    pub kind: Kind,
}

/// What a segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Opens a connection.
    Syn,
    /// Accepts a connection.
    SynAck,
    /// Carries this many bytes.
    Data(u32),
    /// Acknowledges, and nothing else.
    Ack,
    /// Asks whether the other end is still there: no or one byte, from just before what was sent already.
    KeepAliveProbe,
    /// The acknowledgement that answers a probe.
    KeepAliveAnswer,
    /// Ends one direction.
    Fin,
    /// Breaks the connection off.
    Reset,
}

/// Follows the sequence numbers of all connections of a capture.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The time stamp of the header line whose second line is still to come.
    time: Option<f64>,
    /// The sequence number that follows what each direction has sent.
    next: HashMap<Direction, u32>,
    /// The directions whose last probe has not been answered.
    probing: HashSet<Direction>,
}

type Direction = (SocketAddr, SocketAddr);

impl Reader {
    /// The segment that `line` completes. IPv4 comes in two lines, IPv6 in one; payload is indented by a tab.
    pub(super) fn read(&mut self, line: &str) -> Option<Segment> {
        let detail = if let Some(detail) = line.strip_prefix("    ") {
            detail
        } else {
            let (stamp, rest) = line.split_once(' ')?;
            self.time = Some(stamp.parse().ok()?);
            rest.split_once("payload length: ")?.1.split_once(") ")?.1
        };
        let raw = Raw::parse(detail)?;
        let time = self.time.take()?;
        let kind = self.classify(&raw);
        Some(Segment { time, from: raw.from, to: raw.to, kind })
    }

    fn classify(&mut self, raw: &Raw) -> Kind {
        let (there, back) = ((raw.from, raw.to), (raw.to, raw.from));
        if raw.flags.contains('R') {
            return Kind::Reset;
        }
        let expected = self.next.get(&there).copied();
        let bare = !raw.flags.contains(['S', 'F', 'P']);
        if bare && raw.length <= 1 && expected == Some(raw.sequence.wrapping_add(1)) {
            self.probing.insert(there);
            return Kind::KeepAliveProbe;
        }
        let takes_number = u32::from(raw.flags.contains(['S', 'F']));
        let end = raw.sequence.wrapping_add(raw.length).wrapping_add(takes_number);
        // A retransmission ends before what was sent already; the distance is then more than half the circle.
        if expected.is_none_or(|expected| end.wrapping_sub(expected) < 1 << 31) {
            self.next.insert(there, end);
        }
        match raw {
            _ if raw.flags.contains('S') && raw.flags.contains('.') => Kind::SynAck,
            _ if raw.flags.contains('S') => Kind::Syn,
            _ if raw.length > 0 => Kind::Data(raw.length),
            _ if raw.flags.contains('F') => Kind::Fin,
            _ if self.probing.remove(&back) => Kind::KeepAliveAnswer,
            _ => Kind::Ack,
        }
    }
}

/// The fields of one segment as printed.
struct Raw {
    from: SocketAddr,
    to: SocketAddr,
    flags: String,
    sequence: u32,
    length: u32,
}

impl Raw {
    /// `10.77.1.2.52126 > 10.77.2.2.8080: Flags [.], cksum …, seq 5, ack 7, win 63, options […], length 0`
    fn parse(detail: &str) -> Option<Self> {
        let (ends, fields) = detail.split_once(": Flags [")?;
        let (from, to) = ends.split_once(" > ")?;
        let (flags, fields) = fields.split_once(']')?;
        let value = |key: &str| {
            let rest = fields.split_once(&format!(", {key} "))?.1;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        Some(Self {
            from: address(from)?,
            to: address(to)?,
            flags: flags.to_owned(),
            sequence: value("seq")?,
            length: value("length")?,
        })
    }
}

/// `10.77.1.2.8080` or `fd00::1.8080`: the port stands behind the last dot.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.rsplit_once('.')?;
    Some(SocketAddr::new(ip.parse::<IpAddr>().ok()?, port.parse().ok()?))
}

#[cfg(test)]
mod tests;
