//! The seccomp profile, as it is shipped.

use std::fs;

use serde::Deserialize;
use syscalls::Sysno;

use super::{deploy, filter};

/// As the OCI's runtime specification has it; whatever else a profile may have, ours has not.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Profile {
    default_action: String,
    default_errno_ret: u32,
    syscalls: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    names: Vec<String>,
    action: String,
    /// Read by people.
    #[serde(rename = "comment")]
    _comment: String,
}

impl Profile {
    pub(crate) fn shipped() -> Self {
        serde_json::from_str(&fs::read_to_string(deploy("seccomp/keepalive-daemon.json")).unwrap()).unwrap()
    }

    /// The names of the calls that are allowed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.syscalls.iter().flat_map(|rule| {
            assert_eq!(rule.action, "SCMP_ACT_ALLOW");
            rule.names.iter().map(String::as_str)
        })
    }

    /// The numbers of the calls that are allowed and that this architecture has, as a runtime passes over the others.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.names()
            .filter_map(|name| name.parse::<Sysno>().ok())
            .map(|it| u32::try_from(it.id()).unwrap())
            .collect()
    }

    /// Lets this process, and what it becomes, make no other calls; they fail as the profile says.
    pub(super) fn install(&self) {
        assert_eq!(self.default_action, "SCMP_ACT_ERRNO");
        filter::install(self, libc::SECCOMP_RET_ERRNO | self.default_errno_ret);
    }
}
