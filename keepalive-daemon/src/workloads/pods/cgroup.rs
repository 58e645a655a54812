//! The cgroup of a pod, from what its runtime has of it.

use super::slice;

/// What selects a cgroup by its path, whatever is in it.
const INSTEAD: &str = "select its cgroup by path instead (spec.cgroups of a ClusterKeepalivePolicy)";

/// The kernel's own bounds on a path and on a name in it, in bytes.
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

/// The cgroup from the `cgroup_parent` that the kubelet gave the runtime for all containers of a pod: the name of a
/// slice, or a path. A path from the root of the hierarchy, without a leading slash.
///
/// # Errors
/// If the pod has no cgroup of its own, or not one to be found; says why.
pub(crate) fn from_parent(parent: &str) -> Result<String, String> {
    let name = parent.rsplit_once('/').map_or(parent, |(_, name)| name);
    if name.ends_with(".slice") {
        // What is before the name follows from it; the runtimes do not look at it either.
        let path = slice::path(name).ok_or_else(|| {
            format!("its runtime puts it into {}, which is not the name of a systemd slice", shown(parent))
        })?;
        return checked(&path, parent);
    }
    if !parent.is_empty() && !parent.starts_with('/') {
        return Err(format!(
            "its runtime puts it into {}, a cgroup relative to one that it does not tell: {INSTEAD}",
            shown(parent)
        ));
    }
    checked(parent, parent)
}

/// The cgroup from the place of the pod's first container, in the runtime's terms: `slice:prefix:name`, or a path
/// from the root.
///
/// # Errors
/// As of [`from_parent`].
pub(crate) fn from_container(path: &str) -> Result<String, String> {
    match path.split_once(':') {
        Some((slice, _)) if slice.ends_with(".slice") => from_parent(slice),
        _ => from_parent(path.rsplit_once('/').map_or("", |(parent, _)| parent)),
    }
}

/// The path without empty steps, if it can be one.
fn checked(path: &str, told: &str) -> Result<String, String> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    if steps.is_empty() {
        return Err(format!(
            "it has no cgroup of its own, as its runtime was told of none to put it into: {INSTEAD}"
        ));
    }
    let is_bad = |step: &str| matches!(step, "." | "..") || step.len() > NAME_MAX || step.contains('\0');
    if path.len() >= PATH_MAX || steps.iter().any(|step| is_bad(step)) {
        return Err(format!(
            "its runtime puts it into {}, which cannot be the path of a cgroup",
            shown(told)
        ));
    }
    Ok(steps.join("/"))
}

/// What somebody wrote, in a form that a terminal and a log line survive.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 128;
    let start: String = text.chars().take(LONGEST).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{more}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    const UID: &str = "0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";

    #[test]
    fn a_parent_is_a_slice_or_a_path() {
        for (parent, expected) in [
            (format!("/kubepods/burstable/pod{UID}"), format!("kubepods/burstable/pod{UID}")),
            (format!("//kubepods//pod{UID}/"), format!("kubepods/pod{UID}")),
            (format!("/kubelet/kubepods/pod{UID}"), format!("kubelet/kubepods/pod{UID}")),
            ("kubepods-podab.slice".to_owned(), "kubepods.slice/kubepods-podab.slice".to_owned()),
            // Older kubelets write it out.
            (
                "/kubepods.slice/kubepods-podab.slice".to_owned(),
                "kubepods.slice/kubepods-podab.slice".to_owned(),
            ),
        ] {
            assert_eq!(from_parent(&parent), Ok(expected), "{parent}");
        }
    }

    #[test]
    fn a_container_is_in_its_pods_cgroup() {
        for (path, expected) in [
            ("kubepods-podab.slice:cri-containerd:4f2a", "kubepods.slice/kubepods-podab.slice"),
            ("kubepods-podab.slice:crio:4f2a", "kubepods.slice/kubepods-podab.slice"),
            ("/kubepods/podab/crio-4f2a", "kubepods/podab"),
        ] {
            assert_eq!(from_container(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_cgroup_of_the_pod_is_refused_with_the_reason() {
        let long_name = format!("/kubepods/{}", "a".repeat(256));
        let long_path = "/ab".repeat(1400);
        for (parent, reason) in [
            ("", "no cgroup of its own"),
            ("/", "no cgroup of its own"),
            ("//", "no cgroup of its own"),
            ("-.slice", "no cgroup of its own"),
            ("kubepods/podab", "relative"),
            ("..", "relative"),
            ("/kubepods/../system.slice/a", "cannot be"),
            ("/../../etc", "cannot be"),
            ("/./a", "cannot be"),
            ("/kubepods/a\0b", "\"/kubepods/a\\0b\", which cannot be"),
            ("a--b.slice", "not the name"),
            ("/kubepods.slice/.slice", "not the name"),
            (&long_name, "cannot be"),
            (&long_path, "cannot be"),
        ] {
            let refused = from_parent(parent).unwrap_err();
            assert!(refused.contains(reason) && refused.len() < 512, "{parent:?}: {refused}");
        }
        assert!(from_container("/4f2a").unwrap_err().contains("no cgroup of its own"));
        assert!(from_container("4f2a").unwrap_err().contains("no cgroup of its own"));
    }
}
