//! One module a verb, each with its `Options` and a `run`.

pub(crate) mod apply;
pub(crate) mod cleanup;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod failure;
pub(crate) mod health;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod run;
pub(crate) mod sockets;
pub(crate) mod status;
