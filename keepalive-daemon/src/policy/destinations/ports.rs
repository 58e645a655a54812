//! Ports and ranges of them.

use std::{fmt, str::FromStr};

use crate::policy::diagnostic::{Fault, quote};

/// A range of ports; a single one begins where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// All of them.
    pub(super) const ALL: Self = Self { first: 0, last: u16::MAX };

    /// The one port of this number.
    pub(crate) fn single(number: i64) -> Result<Self, Fault> {
        let port = checked(&number.to_string())?;
        Ok(Self { first: port, last: port })
    }

    /// The first and the last.
    pub(super) fn bounds(&self) -> (u128, u128) {
        (self.first.into(), self.last.into())
    }

    /// How many there are.
    pub(super) fn width(&self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    pub(super) fn is_single(&self) -> bool {
        self.first == self.last
    }
}

impl FromStr for Ports {
    type Err = Fault;

    /// `5432`, or `8000-8999`.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (first, last) = (first.trim(), last.trim());
        if !is_number(first) || !is_number(last) {
            return Err(Fault::new(
                format!("{} is not a port", quote(text)),
                "write one such as `5432`, or a range such as `\"8000-8999\"`",
            ));
        }
        let (first, last) = (checked(first)?, checked(last)?);
        if first > last {
            return Err(Fault::new(
                format!("{} ends before it begins", quote(text)),
                format!("write `\"{last}-{first}\"`"),
            ));
        }
        Ok(Self { first, last })
    }
}

fn checked(number: &str) -> Result<u16, Fault> {
    let port = number.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| Fault::new(format!("{} is out of range", quote(number)), "ports are 1 to 65535"))
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if self.is_single() { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}
