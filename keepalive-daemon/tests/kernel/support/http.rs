//! Asking over HTTP, in a network namespace.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use xtask::lab::Netns;

/// Far beyond what anything here takes to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for a path; the code and the body, or why there is no answer.
pub(crate) fn get(netns: &Netns, at: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    netns.run(|| ask(at, path)).unwrap()
}

fn ask(at: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Of the older version: an answer ends with the connection, and is in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    });
    parts.ok_or_else(|| io::Error::other(format!("no answer of HTTP: {answer}")))
}
