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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    names: Vec<String>,
    action: String,
    #[serde(default)]
    args: Vec<Argument>,
    errno_ret: Option<u32>,
    /// Read by people.
    #[serde(rename = "comment")]
    _comment: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u32,
    value: u32,
    value_two: u32,
    op: String,
}

/// What becomes of a call that the profile names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    IsAllowed,
    /// It is allowed if its first argument has none of these bits.
    IsAllowedWithout(u32),
    FailsWith(u32),
}

impl Rule {
    fn verdict(&self) -> Verdict {
        match (self.action.as_str(), &self.args[..], self.errno_ret) {
            ("SCMP_ACT_ALLOW", [], None) => Verdict::IsAllowed,
            ("SCMP_ACT_ALLOW", [Argument { index: 0, value, value_two: 0, op }], None)
                if op == "SCMP_CMP_MASKED_EQ" =>
            {
                Verdict::IsAllowedWithout(*value)
            }
            ("SCMP_ACT_ERRNO", [], Some(errno)) => Verdict::FailsWith(errno),
            _ => panic!("{self:?} is no rule that the tests know"),
        }
    }
}

impl Profile {
    pub(crate) fn shipped() -> Self {
        serde_json::from_str(&fs::read_to_string(deploy("seccomp/keepalive-daemon.json")).unwrap()).unwrap()
    }

    /// The names of the calls that it has.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.rules().map(|(name, _)| name)
    }

    fn rules(&self) -> impl Iterator<Item = (&str, Verdict)> {
        self.syscalls
            .iter()
            .flat_map(|rule| rule.names.iter().map(move |name| (name.as_str(), rule.verdict())))
    }

    /// The numbers of the calls that it has and that this architecture has, as a runtime passes over the others.
    pub(super) fn numbers(&self) -> Vec<(u32, Verdict)> {
        self.rules()
            .filter_map(|(name, verdict)| Some((name.parse::<Sysno>().ok()?, verdict)))
            .map(|(call, verdict)| (u32::try_from(call.id()).unwrap(), verdict))
            .collect()
    }

    /// Lets this process, and what it becomes, make no other calls; they fail as the profile says.
    pub(super) fn install(&self) {
        assert_eq!(self.default_action, "SCMP_ACT_ERRNO");
        filter::install(self, libc::SECCOMP_RET_ERRNO | self.default_errno_ret);
    }
}
