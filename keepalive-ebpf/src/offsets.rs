//! Where the running kernel keeps what the sweep reads of its sockets.

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The offsets of fields, in bytes, as the daemon finds them in the kernel's description of its own types
        /// (BTF). They are constants to the verifier, which checks what is read there against that description.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Offsets {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Offsets {
            /// The words as they lie in the program's data.
            #[must_use]
            pub const fn to_words(&self) -> [u64; size_of::<Self>() / size_of::<u64>()] {
                [$(self.$name),+]
            }
        }
    };
}

offsets! {
    /// `sock_common.skc_family`
    family,
    /// `sock_common.skc_state`
    state,
    /// `sock_common.skc_num`: the local port, in the machine's byte order.
    local_port,
    /// `sock_common.skc_dport`: the remote port, in the network's.
    remote_port,
    /// `sock_common.skc_rcv_saddr`
    local_v4,
    /// `sock_common.skc_daddr`
    remote_v4,
    /// `sock_common.skc_v6_rcv_saddr`; that of another field where the kernel has no IPv6.
    local_v6,
    /// `sock_common.skc_v6_daddr`; likewise.
    remote_v6,
    /// `sock.sk_cgrp_data.cgroup`
    cgroup,
    /// `cgroup.kn`
    kernfs_node,
    /// `kernfs_node.id`
    id,
}
