//! What the kernel of this machine lets a program set.

use std::{fs, io, sync::OnceLock};

use tracing::debug;

use crate::{
    features::Feature,
    policy::{Congestion, KernelOptions, KernelVersion},
};

/// The release in which programs came to set every option that `setsockopt` knows. Whether they may is not tried here:
/// it takes a connection in a cgroup that a program is attached to, as `probe` makes.
const ANY_OPTION: KernelVersion = Feature::AnyOption.since();
/// Something that came in the same release. Distributions bring it to kernels that keep an older number, and with it
/// what else programs may do.
const SIGN_OF_IT: &[u8] = b"BPF_FUNC_user_ringbuf_drain";

/// What policies may ask of this kernel now: algorithms for congestion control come and go with modules.
pub(crate) fn options() -> KernelOptions {
    static VERSION: OnceLock<Option<KernelVersion>> = OnceLock::new();
    let congestion = congestion().inspect_err(
        |error| debug!(%error, "the names of algorithms for congestion control are not checked"),
    );
    KernelOptions { version: *VERSION.get_or_init(version), congestion: congestion.ok() }
}

/// The number that it calls itself.
pub(crate) fn release() -> Option<KernelVersion> {
    nix::sys::utsname::uname().ok()?.release().to_str()?.parse().ok()
}

fn version() -> Option<KernelVersion> {
    let version = release()?;
    if version >= ANY_OPTION {
        return Some(version);
    }
    // Without type information there is nothing to raise it for.
    let types = fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
    Some(raised(version, &types))
}

/// The version, or the one whose options the kernel with these types has.
fn raised(version: KernelVersion, types: &[u8]) -> KernelVersion {
    let has_any = types.split(|&byte| byte == 0).any(|name| name == SIGN_OF_IT);
    if has_any { version.max(ANY_OPTION) } else { version }
}

fn congestion() -> io::Result<Congestion> {
    let read = |name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
    Ok(Congestion {
        available: read("tcp_available_congestion_control")?.split_whitespace().map(str::to_owned).collect(),
        default: read("tcp_congestion_control")?.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_with_what_came_later_counts_as_later() {
        let (old, new) = (KernelVersion::new(5, 14), KernelVersion::new(6, 2));
        let has = b"\0BPF_FUNC_map_lookup_elem\0BPF_FUNC_user_ringbuf_drain\0";
        let lacks = b"\0BPF_FUNC_user_ringbuf_drained\0";

        assert_eq!(raised(old, has), ANY_OPTION);
        assert_eq!((raised(old, lacks), raised(old, b""), raised(new, has)), (old, old, new));
    }
}
