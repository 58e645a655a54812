//! Which options a kernel lets a program set.

use std::{fmt, str::FromStr};

use keepalive_ebpf::CONGESTION_LENGTH;

use super::diagnostic::{Fault, quote};

/// The version of a kernel, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl KernelVersion {
    /// `major.minor`
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl FromStr for KernelVersion {
    type Err = Fault;

    /// As `uname -r` prints it; what follows the second number does not matter.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let mut parts = text.splitn(3, '.');
        let major = parts.next().and_then(|part| part.parse().ok());
        let minor = parts.next().and_then(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        });
        match (major, minor) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(Fault::new(
                format!("{} is not the version of a kernel", quote(text)),
                "write what `uname -r` prints, such as `5.10`",
            )),
        }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The algorithms for congestion control that a kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Congestion {
    /// Their names.
    pub available: Vec<String>,
    /// The one of sockets whose application chose none.
    pub default: String,
}

/// What a kernel lets a program set, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// The kernel of this version, or one that has what matters of it.
    pub version: Option<KernelVersion>,
    /// What it has for congestion control.
    pub congestion: Option<Congestion>,
}

impl KernelOptions {
    /// Of a kernel of which nothing is known: everything is allowed.
    pub const ANY: Self = Self { version: None, congestion: None };

    /// Whether an option can be set that programs may set from the kernel `since` on.
    pub(super) fn check(&self, since: KernelVersion) -> Result<(), Fault> {
        match self.version {
            Some(version) if version < since => Err(Fault::new(
                format!("Linux {version} does not let a program set it"),
                format!("remove it from the policies of nodes before Linux {since}"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether sockets can be given the congestion control algorithm of this name.
    pub(super) fn check_congestion(&self, name: &str) -> Result<(), Fault> {
        match &self.congestion {
            Some(Congestion { available, .. }) if !available.iter().any(|it| it == name) => Err(Fault::new(
                format!("this kernel has no congestion control {}", quote(name)),
                format!("write one of {}, or load it: `modprobe tcp_{name}`", available.join(", ")),
            )),
            _ => Ok(()),
        }
    }

    /// The algorithm of sockets whose application chose none, as the kernel names it; empty if that is not known.
    pub(super) fn congestion_default(&self) -> [u8; CONGESTION_LENGTH] {
        padded(self.congestion.as_ref().map_or("", |congestion| &congestion.default))
    }
}

/// The name of an algorithm, as the kernel takes it; what is too long is cut.
pub(super) fn padded(name: &str) -> [u8; CONGESTION_LENGTH] {
    let mut padded = [0; CONGESTION_LENGTH];
    for (to, from) in padded.iter_mut().zip(name.bytes().take(CONGESTION_LENGTH - 1)) {
        *to = from;
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_uname_prints() {
        for (text, expected) in [
            ("5.10", (5, 10)),
            ("6.1.0-13-amd64", (6, 1)),
            ("6.18.5", (6, 18)),
            ("5.14-rc1", (5, 14)),
            ("4.18.0-553.el8_10.x86_64", (4, 18)),
        ] {
            assert_eq!(text.parse(), Ok(KernelVersion::new(expected.0, expected.1)), "{text}");
        }
        for text in ["", "6", "six.one", "6.", "v6.1", "6.-1"] {
            let fault = text.parse::<KernelVersion>().expect_err(text);
            assert!(fault.help.contains("such as `5.10`"), "{fault}");
        }
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        let kernel = |text: &str| KernelOptions { version: text.parse().ok(), congestion: None };
        let since = KernelVersion::new(5, 10);

        assert!(kernel("5.9").check(since).is_err() && kernel("4.18").check(since).is_err());
        assert!(kernel("5.10").check(since).is_ok() && kernel("6.1").check(since).is_ok());
        assert!(KernelOptions::ANY.check(since).is_ok());
    }
}
