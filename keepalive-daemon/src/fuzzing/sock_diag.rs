//! Answers of sock_diag.

use std::ops::ControlFlow;

use crate::kernel::readers::read_part;

/// The shortest message about a socket: the header of any message, and `struct inet_diag_msg`.
const SHORTEST: usize = 16 + 72;

/// Reads a part of an answer.
///
/// # Panics
/// If more sockets come out than go in, or one after the reader was told to stop.
pub fn sock_diag(data: &[u8]) {
    let mut listed = Vec::new();
    let whole = read_part(data, &mut |socket| {
        listed.push(socket);
        ControlFlow::Continue(())
    });
    assert!(listed.len() <= data.len() / SHORTEST, "{} sockets in {} bytes", listed.len(), data.len());
    assert!(!matches!(whole, Ok(Some(ControlFlow::Break(())))), "nobody stopped it");

    let mut first = None;
    let stopped = read_part(data, &mut |socket| {
        assert!(first.replace(socket).is_none(), "it goes on");
        ControlFlow::Break(())
    });
    assert_eq!(first, listed.first().copied());
    if first.is_some() {
        assert!(matches!(stopped, Ok(Some(ControlFlow::Break(())))), "{stopped:?}");
    }
}
