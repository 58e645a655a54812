#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A server on a port of its own, and a loop that is always well.
async fn serve() -> SocketAddr {
    let (questions, mut asked) = mpsc::channel(BACKLOG);
    let (listener, at) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    tokio::spawn(accept(listener, Arc::new(Site::new(questions))));
    tokio::spawn(async move {
        while let Some(question) = asked.recv().await {
            if let Question::Health(to) = question {
                drop(to.send(crate::report::health::Health { ready: true, ..Default::default() }));
            }
        }
    });
    at
}

async fn ask(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_connection_is_for_one_question() {
    let at = serve().await;
    let answer = ask(at, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    let head = ask(at, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn whoever_holds_all_connections_keeps_nobody_out() {
    let at = serve().await;
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS * 4 {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        idle.push(stream);
    }

    assert!(ask(at, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.ends_with("ok\n"));

    // The oldest had to go.
    let mut rest = Vec::new();
    assert_eq!(idle[0].read_to_end(&mut rest).await.unwrap_or_default(), 0);
}

#[test]
fn whoever_comes_with_many_keeps_out_nobody_who_was_there_first() {
    let [pod, kubelet] = ["10.0.0.7", "10.0.0.1"].map(|address| address.parse::<IpAddr>().unwrap());

    let flooded = [kubelet, pod, pod, pod];

    assert_eq!(who_goes(flooded.into_iter()), Some(1));
    assert_eq!(who_goes([kubelet, pod].into_iter()), Some(0), "the oldest of equals");
    assert_eq!(who_goes([].into_iter()), None);
}

#[tokio::test]
async fn a_question_from_elsewhere_is_answered_though_it_came_before_a_flood() {
    let at = serve().await;
    let mut probe = TcpStream::connect(at).await.unwrap();
    probe.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut flood = Vec::new();
    for _ in 0..MOST_CONNECTIONS * 4 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        flood.push(socket.connect(at).await.unwrap());
    }

    probe.write_all(b"Host: x\r\n\r\n").await.unwrap();

    let mut answer = String::new();
    probe.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let at = serve().await;
    let endless = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(MOST_BYTES * 2));

    for request in ["\u{0}\u{1}\r\n\r\n", "GET /%zz\r\n\r\n", &endless] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(ask(at, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.ends_with("ok\n"));
}

#[tokio::test]
async fn everywhere_is_also_the_loopback_of_both_families() {
    let (listener, at) = bind(Address::Everywhere(0)).unwrap();
    let families = if at.is_ipv6() { &["127.0.0.1", "::1"][..] } else { &["127.0.0.1"] };

    for ip in families {
        let to = SocketAddr::new(ip.parse().unwrap(), at.port());
        let (connected, accepted) = tokio::join!(TcpStream::connect(to), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok(), "{to}");
    }
}
