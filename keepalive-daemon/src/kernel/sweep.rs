//! The sweep: what policies do to the connections that are open already.

mod descriptors;
mod diag;
mod namespaces;

pub(crate) use descriptors::{Running, sweep_process};

/// By what a sweep gets at connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The program `sweep`, which the kernel runs for each socket.
    Iterator,
    /// The descriptors of the processes that hold the sockets, for kernels whose iterators cannot.
    Descriptors,
}

/// What a pass saw besides the connections.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// The network namespaces that were looked through.
    pub(crate) namespaces: usize,
    /// Those that were not, and why.
    pub(crate) unreachable: Vec<(String, String)>,
    /// Connections of targets that the method cannot reach: nobody has accepted them yet.
    pub(crate) pending: usize,
}
