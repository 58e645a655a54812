//! What was done to open connections, one by one.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use keepalive_ebpf::{Direction, Outcome, Swept};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ForPeople, Table};

/// Open connections, and what was done to each.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SweptSockets {
    /// Whether nothing was done, and `set` is what would be.
    pub(crate) dry_run: bool,
    pub(crate) sockets: Vec<SweptSocket>,
}

/// An open connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SweptSocket {
    /// A process that holds it; absent if it was found without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// The cgroup whose policy governs it; absent if it is not about a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// The kernel's name for it.
    pub(crate) cookie: u64,
    #[schema(value_type = String, example = "10.0.0.7:41234")]
    pub(crate) local: SocketAddr,
    #[schema(value_type = String, example = "10.0.0.9:5432")]
    pub(crate) remote: SocketAddr,
    /// `Outbound` or `Inbound`; absent if it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<String>,
    /// What it had; what is absent cannot be told by this kernel.
    pub(crate) before: Values,
    /// What was, or would be, set; what is absent stays.
    pub(crate) set: Values,
    /// One of `arm`, `armBlind`, `tighten`, `override`, `keepChosen`, `keepTighter`, `keepDirection`,
    /// `keepDestination`, `wouldArm`, `wouldTighten`.
    pub(crate) outcome: String,
    /// What the kernel said when it refused an option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Options of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Values {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keepalive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interval_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probes: Option<u32>,
    /// 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_timeout_milliseconds: Option<u32>,
}

impl From<&Swept> for SweptSocket {
    fn from(swept: &Swept) -> Self {
        let direction = match swept.direction {
            Direction::Both => None,
            told => Some(format!("{told:?}")),
        };
        let before = Values {
            keepalive: told(swept.was_on).map(|on| on != 0),
            idle_seconds: told(swept.before.idle_s),
            interval_seconds: told(swept.before.interval_s),
            probes: told(swept.before.probes),
            user_timeout_milliseconds: told(swept.before.user_timeout_ms),
        };
        let some = |value: u32| (value > 0).then_some(value);
        let mut set = Values {
            keepalive: (swept.arms != 0).then_some(true),
            idle_seconds: some(swept.set.idle_s),
            interval_seconds: some(swept.set.interval_s),
            probes: some(swept.set.probes),
            user_timeout_milliseconds: some(swept.set.user_timeout_ms),
        };
        if swept.clears_user_timeout != 0 {
            set.user_timeout_milliseconds = Some(0);
        }
        Self {
            pid: None,
            cgroup: None,
            cookie: swept.cookie,
            local: address(swept.local, swept.local_port),
            remote: address(swept.remote, swept.remote_port),
            direction,
            before,
            set,
            outcome: name(swept.outcome).to_owned(),
            error: i32::try_from(swept.errno)
                .ok()
                .filter(|errno| *errno > 0)
                .map(|errno| Errno::from_raw(errno).to_string()),
        }
    }
}

impl SweptSocket {
    fn why(&self) -> String {
        let why = match self.outcome.as_str() {
            "arm" | "wouldArm" => "keep-alive was off",
            "armBlind" => "cannot be read",
            "tighten" | "wouldTighten" => "the application's are looser",
            "override" => "enforced",
            "keepChosen" => "left alone: the application's choice",
            "keepTighter" => "left alone: tight enough",
            "keepDirection" => "left alone: other direction",
            "keepDestination" => "left alone: other destination",
            other => other,
        };
        match &self.error {
            Some(error) => format!("{why}; refused: {error}"),
            None => why.to_owned(),
        }
    }
}

impl Values {
    /// As a person reads them: `60s/15s/4 ut 2m`, with dashes for what is absent.
    pub(crate) fn text(&self) -> String {
        let mut words = Vec::new();
        let shown =
            |value: Option<u32>, unit| value.map_or_else(|| "-".to_owned(), |value| format!("{value}{unit}"));
        if self.keepalive == Some(false) {
            words.push("off".to_owned());
        } else if self.idle_seconds.or(self.interval_seconds).or(self.probes).is_some() {
            let (idle, interval) = (shown(self.idle_seconds, "s"), shown(self.interval_seconds, "s"));
            words.push(format!("{idle}/{interval}/{}", shown(self.probes, "")));
        } else if self.keepalive == Some(true) {
            words.push("on".to_owned());
        }
        match self.user_timeout_milliseconds {
            // Of what a connection had, it is not worth a word that there was none.
            Some(0) if self.keepalive == Some(false) || self.idle_seconds.is_some() => {}
            Some(0) => words.push("ut none".to_owned()),
            Some(milliseconds) => {
                let timeout = Duration::from_millis(milliseconds.into());
                words.push(format!("ut {}", humantime::format_duration(timeout)));
            }
            None => {}
        }
        if words.is_empty() { "-".to_owned() } else { words.join(" ") }
    }
}

impl ForPeople for SweptSockets {
    fn for_people(&self) -> String {
        if self.sockets.is_empty() {
            return "no open connections".to_owned();
        }
        let set = if self.dry_run { "WOULD SET" } else { "SET" };
        // What sweeps policies knows directions and cgroups, what goes by processes does not.
        if self.sockets.iter().any(|socket| socket.direction.is_some()) {
            let mut table = Table::new(["CGROUP", "LOCAL", "REMOTE", "DIRECTION", "HAD", set, "WHY"]);
            for socket in &self.sockets {
                let [cgroup, direction] =
                    [&socket.cgroup, &socket.direction].map(|it| it.clone().unwrap_or("-".to_owned()));
                let [local, remote, had, set, why] = socket.cells();
                table.row([cgroup, local, remote, direction, had, set, why]);
            }
            return table.to_string();
        }
        let mut table = Table::new(["PID", "LOCAL", "REMOTE", "HAD", set, "WHY"]);
        for socket in &self.sockets {
            let pid = socket.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            let [local, remote, had, set, why] = socket.cells();
            table.row([pid, local, remote, had, set, why]);
        }
        table.to_string()
    }
}

impl SweptSocket {
    fn cells(&self) -> [String; 5] {
        let Self { local, remote, before, set, .. } = self;
        [local.to_string(), remote.to_string(), before.text(), set.text(), self.why()]
    }
}

/// The address of a connection's end, with IPv4 told as such.
fn address(ip: [u8; 16], port: u32) -> SocketAddr {
    let ip = IpAddr::V6(Ipv6Addr::from(ip)).to_canonical();
    SocketAddr::new(ip, u16::try_from(port).unwrap_or_default())
}

/// A value as records have it, which have the largest number for what cannot be told.
const fn told(value: u32) -> Option<u32> {
    match value {
        u32::MAX => None,
        value => Some(value),
    }
}

const fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Arm => "arm",
        Outcome::ArmBlind => "armBlind",
        Outcome::Tighten => "tighten",
        Outcome::Override => "override",
        Outcome::KeepChosen => "keepChosen",
        Outcome::KeepTighter => "keepTighter",
        Outcome::KeepDirection => "keepDirection",
        Outcome::KeepDestination => "keepDestination",
        Outcome::WouldArm => "wouldArm",
        Outcome::WouldTighten => "wouldTighten",
    }
}

#[cfg(test)]
mod tests;
