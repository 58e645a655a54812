//! What the programs leave on a socket for each other.

/// When in the life of a connection a program runs.
#[repr(u64)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// The connection is established.
    #[default]
    Established = 0,
    /// The handshake is about to begin, or a socket to listen.
    Handshake = 1,
}

/// The value of the `CLAIMS` map, on the sockets of cgroups that are governed inside governed ones, and on those that
/// are guarded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// When the connection was claimed by a policy, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// The id of the cgroup whose policy claimed it.
    pub cgroup: u64,
    /// Before or after the handshake: who claimed before it is not sure to govern after it, as the daemon may write in
    /// between.
    pub moment: Moment,
    /// The id of the cgroup whose policy enforces its values on it; 0 if none does.
    pub guard: u64,
}
