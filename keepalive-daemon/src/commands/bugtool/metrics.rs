//! The metrics, from where Prometheus has them.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::Part;

pub(super) const PARTS: &[Part] =
    &[Part { file: "metrics.txt", about: "the metrics", collect: |source| scrape(&source.metrics) }];

/// Far beyond what it takes to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than there are of any node.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

fn scrape(address: &str) -> Result<Vec<u8>> {
    let address = place(address)?;
    let about = || format!("cannot read the metrics at {address}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(about)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .with_context(about)?;
    // Of the older version: an answer ends with the connection, and is in one piece.
    let question = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(question.as_bytes()).with_context(about)?;
    let mut answer = String::new();
    stream.take(MOST_BYTES).read_to_string(&mut answer).with_context(about)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    // Somebody else's are nobody's business.
    if !body.lines().any(|line| line.starts_with("keepalive_")) {
        bail!("what answers at {address} has no metrics of this program; name its --metrics");
    }
    Ok(body.as_bytes().to_vec())
}

/// Where to ask, by what `run --metrics` was told.
fn place(address: &str) -> Result<SocketAddr> {
    if address == "none" {
        bail!("they are not served: --metrics is `none`");
    }
    let everywhere = address.strip_prefix(':').and_then(|port| port.parse().ok());
    if let Some(port) = everywhere {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    address.parse().with_context(|| format!("{address} is no address; write it as for `run --metrics`"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// Where somebody answers once with this.
    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /metrics "));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address.to_string()
    }

    #[test]
    fn only_what_is_ours_is_taken() {
        let ours =
            answering("HTTP/1.0 200 OK\r\nX: y\r\n\r\n# TYPE keepalive_x counter\nkeepalive_x_total 1\n");
        let others = answering("HTTP/1.0 200 OK\r\n\r\nsecret_total 1\n");

        assert_eq!(scrape(&ours).unwrap(), b"# TYPE keepalive_x counter\nkeepalive_x_total 1\n");
        let refused = scrape(&others).unwrap_err().to_string();
        assert!(refused.contains("no metrics of this program"), "{refused}");
    }

    #[test]
    fn the_address_is_written_as_for_the_daemon() {
        assert_eq!(place(":9798").unwrap().to_string(), "127.0.0.1:9798");
        assert_eq!(place("[::1]:9798").unwrap().to_string(), "[::1]:9798");
        for nowhere in ["none", "", "localhost"] {
            assert!(place(nowhere).is_err(), "{nowhere}");
        }
    }
}
