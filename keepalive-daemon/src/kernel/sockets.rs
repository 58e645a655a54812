//! The TCP connections of the node, one by one, as the kernel has them; nothing is done to them.
//!
//! sock_diag tells what each is, its timer and when something went over it last. Both this and the options wait for
//! applications that hold a socket's lock, so all of it is for a thread of its own.

mod observer;
mod options;

use std::ops::ControlFlow;

use anyhow::Result;

pub(crate) use observer::{Observation, Observer};
pub(in crate::kernel) use options::tells_options;

pub(crate) use super::sweep::diag::{Listed, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TimerKind};
#[cfg(test)]
pub(crate) use super::sweep::diag::{Timer, Times};
use super::sweep::{
    diag::{Diag, Question, StateFlags},
    namespaces::{self, Namespace},
};

/// What was looked through besides the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The network namespaces that were looked through.
    pub(crate) namespaces: usize,
    /// Those that were not, and why.
    pub(crate) unreachable: Vec<(String, String)>,
}

/// Tells of the connections of all network namespaces, with their timers and times; needs no program, and for the
/// namespace of the calling thread no right. `each` hears of them with the name of the namespace, the kernel goes on as
/// it returns, and it may end the list. A connection comes again if its neighbours came or went meanwhile.
///
/// # Errors
/// If /proc cannot be listed. A namespace that cannot be looked through is none.
pub(crate) fn list(each: &mut dyn FnMut(&str, &Listed) -> ControlFlow<()>) -> Result<Seen> {
    let found = namespaces::all()?;
    let mut seen = Seen { namespaces: 0, unreachable: found.unreachable };
    let question = Question { states: connected(), times: true };
    for namespace in &found.namespaces {
        let name = namespace.name();
        let mut is_enough = false;
        let listed = open(namespace).and_then(|diag| {
            let Some(diag) = diag else { return Ok(false) };
            diag.list(&question, &mut |listed| {
                let flow = each(&name, &listed);
                is_enough |= flow.is_break();
                flow
            })?;
            Ok(true)
        });
        match listed {
            Ok(is_there) => seen.namespaces += usize::from(is_there),
            Err(error) => seen.unreachable.push((name, format!("{error:#}"))),
        }
        if is_enough {
            break;
        }
    }
    Ok(seen)
}

/// `None` if the namespace is gone.
fn open(namespace: &Namespace) -> Result<Option<Diag>> {
    namespaces::inside(namespace, Diag::open)?.transpose()
}

/// The states that `ss -t` takes for connections: all but those without an end there, or an end here any more.
fn connected() -> StateFlags {
    StateFlags::ESTABLISHED
        | StateFlags::SYN_SENT
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSE_WAIT
        | StateFlags::LAST_ACK
        | StateFlags::CLOSING
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_of_this_namespace_are_told_and_listeners_are_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let client = TcpStream::connect(at).expect("it listens");
        let own = client.local_addr().expect("it is connected");

        let mut ends = Vec::new();
        let seen = list(&mut |_, listed| {
            ends.extend([listed.local, listed.remote].contains(&at).then_some((listed.local, listed.remote)));
            ControlFlow::Continue(())
        });

        assert!(seen.is_ok_and(|seen| seen.namespaces > 0));
        ends.sort_unstable();
        ends.dedup();
        let mut both = [(at, own), (own, at)];
        both.sort_unstable();
        assert_eq!(ends, both);
    }
}
