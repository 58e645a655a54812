//! What the daemon may do is what the documents say: the capabilities of the base manifest, no new privileges, and the
//! seccomp profile. The daemons of other tests run under them too ([`crate::confined`]), but for those that
//! `deploy/README.md` names.

mod calls;
mod missing;
mod others;
mod threads;

pub(crate) use calls::attempt;

pub(crate) const ALL: &[&[crate::Test]] = &[calls::TESTS, missing::TESTS, others::TESTS, threads::TESTS];

/// The policy of these tests, and what it makes of a connection.
const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";
const ARMED: crate::peer::Options = crate::support::options(true, 61, 13, 5, 0);
