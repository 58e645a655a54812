//! The options and the results that counters are about, by the names that labels have.

use keepalive_ebpf::Counters;

/// What came of connections, by result; each connection has one.
pub(super) const fn results(counted: &Counters) -> [(&'static str, u64); 11] {
    [
        ("armed", counted.armed),
        ("armed_blind", counted.armed_blind),
        ("tightened", counted.tightened),
        ("overridden", counted.overridden),
        ("kept_chosen", counted.kept_chosen),
        ("kept_tighter", counted.kept_tighter),
        ("kept_direction", counted.kept_direction),
        ("kept_destination", counted.kept_destination),
        ("would_arm", counted.would_arm),
        ("would_tighten", counted.would_tighten),
        // An arming that the kernel refused comes to nothing else.
        ("refused", counted.refused_keepalive),
    ]
}

/// Connections by direction.
pub(super) const fn directions(counted: &Counters) -> [(&'static str, u64); 2] {
    [("outbound", counted.outbound), ("inbound", counted.inbound)]
}

/// What the kernel refused, by option.
pub(super) fn refused(counted: &Counters) -> impl Iterator<Item = (&'static str, u64)> {
    [
        ("SO_KEEPALIVE", counted.refused_keepalive),
        ("TCP_KEEPIDLE", counted.refused_idle),
        ("TCP_KEEPINTVL", counted.refused_interval),
        ("TCP_KEEPCNT", counted.refused_probes),
        ("TCP_USER_TIMEOUT", counted.refused_user_timeout),
        ("other", counted.refused_option),
        ("claim", counted.refused_claim),
    ]
    .into_iter()
}

/// The later calls that Enforce rewrote, by option.
pub(super) const fn rewritten(counted: &Counters) -> [(&'static str, u64); 5] {
    [
        ("SO_KEEPALIVE", counted.rewritten_keepalive),
        ("TCP_KEEPIDLE", counted.rewritten_idle),
        ("TCP_KEEPINTVL", counted.rewritten_interval),
        ("TCP_KEEPCNT", counted.rewritten_probes),
        ("TCP_USER_TIMEOUT", counted.rewritten_user_timeout),
    ]
}
