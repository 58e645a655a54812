//! The names that the kubelet gives to the cgroups of pods.

/// Whether the kubelet would name a pod's cgroup like this, with either driver: `pod<uid>`, or
/// `…-pod<uid with underscores>.slice`. Only for guessing what a cgroup will turn out to be: the runtime knows.
pub(crate) fn is_like_pod(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    match name.strip_suffix(".slice") {
        Some(slice) => slice.rsplit_once("-pod").is_some_and(|(_, uid)| is_uid(uid, b'_')),
        None => name.strip_prefix("pod").is_some_and(|uid| is_uid(uid, b'-')),
    }
}

/// Whether it is a UUID with these separators, or 32 hexadecimal digits: a static pod has the hash of its file.
fn is_uid(text: &str, separator: u8) -> bool {
    let is_separated = |(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == separator,
        _ => u8::is_ascii_hexdigit(&byte),
    };
    match text.len() {
        36 => text.bytes().enumerate().all(is_separated),
        32 => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroups_of_pods_are_told_from_others() {
        for (path, expected) in [
            ("kubepods/burstable/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60", true),
            ("kubepods/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60", true),
            ("kubepods/besteffort/pod5a2f0c1d9e8b7a6f5e4d3c2b1a09f8e7", true),
            ("pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60", true),
            ("kubepods.slice/kubepods-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice", true),
            ("kubepods-burstable-pod5a2f0c1d9e8b7a6f5e4d3c2b1a09f8e7.slice", true),
            ("kubelet.slice/kubelet-kubepods-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice", true),
            // What is in the pod.
            ("kubepods/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60/c1", false),
            ("a/kubepods-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice/cri-containerd-c1.scope", false),
            // The other driver's separators.
            ("kubepods/pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60", false),
            ("kubepods-pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60.slice", false),
            ("kubepods/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f6", false),
            ("kubepods/podg0f3c1f8e6a9d4d3a9d8e2b1c3d4e5f6", false),
            ("kubepods/burstable", false),
            ("machine.slice/libpod_pod_5a2f0c1d9e8b7a6f5e4d3c2b1a09f8e7.slice", false),
            ("kubepods/podä0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f", false),
            ("pod", false),
            ("", false),
        ] {
            assert_eq!(is_like_pod(path), expected, "{path}");
        }
    }
}
