//! The names of systemd's slices (systemd.slice(5)): each dash in a name is a step down the tree.

/// The kernel's bound on a name, in bytes.
const NAME_MAX: usize = 255;

/// The path of a slice's cgroup from the root of the hierarchy, that of `-.slice` being empty; `None` if it is not
/// the name of a slice.
pub(super) fn path(name: &str) -> Option<String> {
    // The path has every step of the name, and so the square of its length.
    let stem = name.strip_suffix(".slice").filter(|_| !name.contains('/') && name.len() <= NAME_MAX)?;
    if stem == "-" {
        return Some(String::new());
    }
    if stem.split('-').any(str::is_empty) {
        return None;
    }
    let ends = stem.match_indices('-').map(|(end, _)| end).chain([stem.len()]);
    let steps: Vec<String> = ends.map(|end| format!("{}.slice", &stem[..end])).collect();
    Some(steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dash_is_a_step_down() {
        for (name, expected) in [
            ("kubepods.slice", "kubepods.slice"),
            ("kubepods-podab_cd.slice", "kubepods.slice/kubepods-podab_cd.slice"),
            (
                "kubepods-burstable-podab_cd.slice",
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_cd.slice",
            ),
            // kind: the kubelet's --cgroup-root is /kubelet.
            (
                "kubelet-kubepods-besteffort-podab.slice",
                "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                 kubelet-kubepods-besteffort-podab.slice",
            ),
            ("system-a\\x2db.slice", "system.slice/system-a\\x2db.slice"),
            ("-.slice", ""),
        ] {
            assert_eq!(path(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_systemd_would_not_take_is_no_slice() {
        for name in [
            "",
            ".slice",
            "a",
            "a.scope",
            "-a.slice",
            "a-.slice",
            "a--b.slice",
            "a.slice/b.slice",
            "--.slice",
            &format!("{}.slice", "a-".repeat(1 << 17) + "a"),
        ] {
            assert_eq!(path(name), None, "{name}");
        }
    }
}
