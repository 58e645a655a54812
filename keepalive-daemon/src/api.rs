//! The local control socket: HTTP with JSON on a unix socket that only its owner may open, and a group if one is named.
//!
//! What is served is described by `/v1/openapi.json`, which is made of the handlers and the types themselves.

pub(crate) mod client;
mod question;
mod routes;
pub(crate) mod server;
mod socket;

pub(crate) use question::Question;
#[cfg(any(test, fuzzing))]
pub(crate) use question::Questions;
#[cfg(any(test, fuzzing))]
pub(crate) use routes::router;
pub(crate) use routes::{
    APPLY, EVENTS, EXPLAIN, EventsQuery, FACTS, HEALTH, POLICIES, SOCKETS, STATUS, SubjectQuery,
};
pub(crate) use socket::{Group, nobody};
