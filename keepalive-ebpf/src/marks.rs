//! What the programs leave on a socket for each other.

/// The value of the `CLAIMS` map, on the sockets of cgroups that are governed inside governed ones, and on those that
/// are guarded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// When the connection was claimed by a policy, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// The id of the cgroup whose policy claimed it.
    pub cgroup: u64,
    /// The id of the cgroup whose policy enforces its values on it; 0 if none does.
    pub guard: u64,
}
