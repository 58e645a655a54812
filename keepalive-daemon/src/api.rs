//! The local control socket: HTTP with JSON on a unix socket that only its owner may open.

pub(crate) mod client;
pub(crate) mod server;

use serde::{Deserialize, Serialize};

use crate::answers::Subject;

/// Where the daemon has its status.
pub(crate) const STATUS: &str = "/v1/status";
/// Where it has the policies in force.
pub(crate) const POLICIES: &str = "/v1/policies";
/// Where it has how it does.
pub(crate) const HEALTH: &str = "/v1/health";
/// Where it explains; with a [`SubjectQuery`].
pub(crate) const EXPLAIN: &str = "/v1/explain";

/// Where it sweeps open connections; a POST with a [`Selection`](crate::answers::Selection).
pub(crate) const APPLY: &str = "/v1/apply";

/// What is to be explained, as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SubjectQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
}

impl From<Subject> for SubjectQuery {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Pod(name) => Self { pod: Some(name), cgroup: None },
            Subject::Cgroup(path) => Self { pod: None, cgroup: Some(path) },
        }
    }
}

impl SubjectQuery {
    fn subject(self) -> Result<Subject, String> {
        match (self.pod, self.cgroup) {
            (Some(name), None) => Ok(Subject::Pod(name)),
            (None, Some(path)) => Ok(Subject::Cgroup(path)),
            _ => Err("ask for one of `pod` and `cgroup`".to_owned()),
        }
    }
}
