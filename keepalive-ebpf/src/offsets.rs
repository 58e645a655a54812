//! Where the running kernel keeps what the programs read of its sockets: the offsets of fields, in bytes, as the daemon
//! finds them in the kernel's description of its own types (BTF). They are constants to the verifier, which checks what
//! is read there against that description.

macro_rules! offsets {
    ($(#[$struct_doc:meta])* $struct:ident: $($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(#[$struct_doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $struct {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl $struct {
            /// The words as they lie in the program's data.
            #[must_use]
            pub const fn to_words(&self) -> [u64; size_of::<Self>() / size_of::<u64>()] {
                [$(self.$name),+]
            }
        }
    };
}

offsets! {
    /// Where a socket has its ends and its cgroup.
    Offsets:
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

offsets! {
    /// Where a connection has what tells why it ends.
    ClosingOffsets:
    /// `sock.sk_err`
    error,
    /// `inet_sock.inet_sport`: the local port, in the network's byte order. The other field is cleared before.
    local_port,
    /// `inet_connection_sock.icsk_probes_out`
    probes_out,
    /// `inet_connection_sock.icsk_user_timeout`
    user_timeout,
    /// `inet_connection_sock.icsk_ack.lrcvtime`: when it received data.
    received_at,
    /// `tcp_sock.lsndtime`: when it sent data.
    sent_at,
    /// `tcp_sock.rcv_tstamp`: when its peer acknowledged something.
    acknowledged_at,
    /// `tcp_sock.write_seq`: up to where the application has written.
    written,
    /// `tcp_sock.snd_una`: up to where the peer has acknowledged.
    acknowledged,
    /// No offset, but 1 where what a socket says of its cgroup is a pointer, and 0 where it is a number that may be one:
    /// before Linux 5.15.
    cgroup_is_pointer,
    /// No offset, but how many ticks of its clock the kernel counts a second.
    ticks_a_second,
}
