//! A pod from the answers of its runtime.
//!
//! The CRI itself has no field for the cgroup of a pod, nor for its network namespace. Both are in the `info` of a
//! verbose `PodSandboxStatus`: JSON, in a form of each runtime's own. All that is not needed is passed over, whatever
//! it is.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use serde_json::Value;

use super::{Place, Pod, cgroup, guest};
use crate::{
    cri::{NamespaceMode, PodSandbox, PodSandboxStatusResponse},
    policy::{ANNOTATION_PREFIX, PodFacts},
};

/// A pod from the list of sandboxes and, as soon as the runtime told it, the verbose status of its own; until then,
/// what it answered instead.
pub(crate) fn read(sandbox: &PodSandbox, status: Result<&PodSandboxStatusResponse, String>) -> Pod {
    let metadata = sandbox.metadata.clone().unwrap_or_default();
    let facts = PodFacts {
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        labels: sandbox.labels.clone().into_iter().collect(),
        annotations: ours(&sandbox.annotations),
    };
    let told = status.map(|status| (status, Info::read(status)));
    let network = match &told {
        Ok((status, Ok(info))) if !uses_nodes_network(status) => info.network(),
        _ => None,
    };
    let place = match told {
        Ok(_) if facts.namespace.is_empty() || facts.name.is_empty() => Place::Unreachable(format!(
            "its runtime does not tell the name of the pod of sandbox {}",
            sandbox.id
        )),
        Ok((_, info)) => match info.and_then(|info| info.cgroup(&sandbox.runtime_handler)) {
            Ok(path) => Place::Cgroup(path),
            Err(reason) => Place::Unreachable(reason),
        },
        Err(answer) => Place::Untold(answer),
    };
    Pod { facts, sandbox: sandbox.id.clone(), network, place }
}

/// The annotations that are for this project: all that a pod has may be 256 KiB, and it is kept as long as that.
fn ours(annotations: &HashMap<String, String>) -> BTreeMap<String, String> {
    let ours = annotations.iter().filter(|(key, _)| key.starts_with(ANNOTATION_PREFIX));
    ours.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn uses_nodes_network(status: &PodSandboxStatusResponse) -> bool {
    let linux = status.status.as_ref().and_then(|status| status.linux.as_ref());
    let options = linux.and_then(|linux| linux.namespaces.as_ref()).and_then(|it| it.options.as_ref());
    options.is_some_and(|options| options.network == i32::from(NamespaceMode::Node))
}

/// What helps where a runtime does not tell enough.
const HELP: &str = "use CRI-O 1.24 or containerd 1.6, or later, or select its cgroup by path (spec.cgroups of a \
                    ClusterKeepalivePolicy)";

/// The JSON that comes with a verbose status.
struct Info(Value);

impl Info {
    fn read(status: &PodSandboxStatusResponse) -> Result<Self, String> {
        let text = status.info.get("info").map_or("{}", String::as_str);
        let value = serde_json::from_str(text)
            .map_err(|error| format!("what its runtime tells of it is no JSON ({error}); {HELP}"))?;
        Ok(Self(value))
    }

    /// The text at a path of names; empty if there is none.
    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The pod's cgroup, from the root of the hierarchy; or why there is none to attach to.
    fn cgroup(&self, handler: &str) -> Result<String, String> {
        let binary = ["BinaryName", "binaryName", "binary_name"];
        let binary = binary.map(|name| self.text(&format!("/runtimeOptions/{name}"))).concat();
        // CRI-O's own notes are among the annotations in the specification of the pod's first container. What a pod may
        // write there instead must harm no other: its handler is its own affair.
        let noted = self.text("/runtimeSpec/annotations/io.kubernetes.cri-o.RuntimeHandler");
        let handler = if handler.is_empty() { noted } else { handler };
        if let Some(reason) = guest::reason(self.text("/runtimeType"), &binary, handler) {
            return Err(reason);
        }
        let is_cri_o = self.0.pointer("/runtimeSpec/annotations/io.kubernetes.cri-o.CgroupParent").is_some();
        match (self.text("/config/linux/cgroup_parent"), self.0.pointer("/config")) {
            // containerd has in its own place those that were told none.
            ("", Some(_)) => cgroup::from_parent(""),
            // CRI-O notes the parent as well, where the pod may have written over it.
            ("", None) => match self.first_container()? {
                // It begins at the root, whether CRI-O was told so or not.
                path if is_cri_o && !path.contains(':') => cgroup::from_container(&format!("/{path}")),
                path => cgroup::from_container(path),
            },
            (parent, _) => cgroup::from_parent(parent),
        }
    }

    /// Where the pod's first container is, in the runtime's terms; empty if it was not told to put it anywhere.
    fn first_container(&self) -> Result<&str, String> {
        if ["/config", "/runtimeSpec"].iter().all(|part| self.0.pointer(part).is_none()) {
            return Err(format!(
                "its runtime does not tell where it is, not even when asked to be verbose; {HELP}"
            ));
        }
        Ok(self.text("/runtimeSpec/linux/cgroupsPath"))
    }

    /// The path of the network namespace that the pod has of its own.
    fn network(&self) -> Option<PathBuf> {
        let namespaces = self.0.pointer("/runtimeSpec/linux/namespaces")?.as_array()?;
        let network = namespaces.iter().find(|it| it["type"] == "network")?;
        let path = network["path"].as_str().filter(|path| path.starts_with('/') && !path.contains('\0'))?;
        Some(path.into())
    }
}

#[cfg(test)]
mod tests;
