//! Runtimes whose containers have a network stack of their own: the sockets in them are not the host kernel's.

use super::cgroup::shown;

/// What such runtimes have in their names, and what kind of thing they are.
const KINDS: [(&str, &str); 6] = [
    ("kata", VIRTUAL_MACHINE),
    ("firecracker", VIRTUAL_MACHINE),
    ("hyperv", VIRTUAL_MACHINE),
    ("runhcs", VIRTUAL_MACHINE),
    ("runsc", USER_SPACE_KERNEL),
    ("gvisor", USER_SPACE_KERNEL),
];

const VIRTUAL_MACHINE: &str = "a virtual machine, whose own kernel";
const USER_SPACE_KERNEL: &str = "gVisor, whose own network stack";

/// Why a pod of this runtime cannot be reached; `None` if its sockets are the host's. `kind` and `binary` are
/// what runs, such as `io.containerd.kata.v2` and `/usr/bin/runsc`. The `handler` is a name that somebody chose for
/// it, and counts where the runtime tells neither.
pub(super) fn reason(kind: &str, binary: &str, handler: &str) -> Option<String> {
    let told = [kind, binary].map(|name| name.rsplit('/').next().unwrap_or(name));
    let names = if told == ["", ""] { vec![handler] } else { told.to_vec() };
    let (name, what) = names.iter().find_map(|name| {
        let lower = name.to_ascii_lowercase();
        // Others append a version, such as `kata3`.
        let has =
            |kind: &str| lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|it| it.starts_with(kind));
        let (_, what) = KINDS.iter().find(|(kind, _)| has(kind))?;
        Some((*name, *what))
    })?;
    Some(format!(
        "it runs in {what} has its sockets ({}), out of reach of programs in the host's kernel: arm keep-alive inside, \
         in the application or in its image",
        shown(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_network_stack_of_its_own_is_told_from_what_has_the_hosts() {
        for (kind, binary, handler, expected) in [
            ("io.containerd.kata.v2", "", "", true),
            ("io.containerd.kata-qemu.v2", "", "", true),
            ("io.containerd.kata3.v1", "", "", true),
            ("aws.firecracker", "", "", true),
            ("io.containerd.runsc.v1", "", "", true),
            ("io.containerd.runtime.v1.linux", "/usr/local/bin/runsc", "", true),
            ("io.containerd.runc.v2", "/opt/kata/bin/kata-runtime", "", true),
            ("", "", "kata-clh", true),
            ("", "", "gVisor", true),
            // What runs counts, not what somebody named it or where it lies.
            ("io.containerd.runc.v2", "", "kata", false),
            ("io.containerd.runc.v2", "/opt/kata/bin/runc", "", false),
            ("io.containerd.runc.v2", "/usr/bin/crun", "", false),
            ("io.containerd.runc.v2", "", "", false),
            ("", "", "runc", false),
            ("", "", "", false),
        ] {
            assert_eq!(reason(kind, binary, handler).is_some(), expected, "{kind} {binary} {handler}");
        }
    }

    #[test]
    fn the_reason_names_the_runtime_and_what_helps() {
        let reason = reason("io.containerd.runsc.v1", "", "").unwrap_or_default();
        assert!(reason.contains("io.containerd.runsc.v1") && reason.contains("inside"), "{reason}");
    }

    #[test]
    fn a_name_that_a_pod_may_have_written_is_short_and_safe_to_print() {
        let handler = format!("kata\x1b[31m\n{}", "a".repeat(100_000));
        let reason = reason("", "", &handler).unwrap_or_default();
        assert!(reason.len() < 512 && !reason.contains(char::is_control), "{reason}");
    }
}
