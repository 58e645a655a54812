//! The local control socket: HTTP with JSON on a unix socket that only its owner may open.

pub(crate) mod client;
pub(crate) mod server;
