use std::path::Path;

use axum::routing::get;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};

use super::*;

const BIG: usize = 16 * 1024 * 1024;

/// A socket that is served, to so many at once; it is gone with the runtime of the test.
fn served(places: usize) -> TempDir {
    served_for(places, Duration::from_secs(3600))
}

/// Likewise, to those who take something of their answers within a time.
fn served_for(places: usize, to_listen: Duration) -> TempDir {
    let directory = TempDir::new().expect("a directory can be made");
    let listener = UnixListener::bind(directory.path().join("socket")).expect("a socket can be made");
    let router = Router::new()
        .route(
            "/",
            get(async |waiting: axum::Extension<Waiting>| {
                waiting.end();
                "answer"
            }),
        )
        .route("/big", get(async || vec![b'x'; BIG]))
        .route(
            "/never",
            get(async |waiting: axum::Extension<Waiting>| {
                waiting.end();
                std::future::pending::<()>().await;
            }),
        );
    let patience = Patience { places, to_ask: Duration::from_secs(3600), to_listen };
    tokio::spawn(receive(listener, router, patience));
    directory
}

async fn ask(directory: &Path, path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(directory.join("socket")).await.expect("it listens");
    let question = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(question.as_bytes()).await.expect("it is heard");
    stream
}

/// All that comes until the end, or until it is cut off.
async fn answer(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn those_who_ask_nothing_give_way_to_those_who_do() {
    let directory = served(2);
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(UnixStream::connect(directory.path().join("socket")).await.expect("it listens"));
    }

    for _ in 0..8 {
        let answer = answer(ask(directory.path(), "/").await).await;

        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("answer"), "{answer}");
    }

    assert_eq!(answer(idle.remove(0)).await, "", "the first one was shown out");
}

#[tokio::test]
async fn who_does_not_take_the_answer_gives_way() {
    let directory = served(1);
    let deaf = ask(directory.path(), "/big").await;

    let heard = answer(ask(directory.path(), "/").await).await;

    assert!(heard.ends_with("answer"), "{heard}");
    assert!(answer(deaf).await.len() < BIG, "it was cut off");
}

#[tokio::test]
async fn who_stays_and_takes_nothing_of_the_answer_is_shown_out() {
    let brief = Duration::from_millis(20);
    let directory = served_for(9, brief);
    let deaf = ask(directory.path(), "/big").await;

    // Without taking anything: what is there to be taken stays, and whether more is to come is told with it.
    while !deaf.ready(Interest::READABLE).await.expect("it can be asked").is_read_closed() {
        sleep(brief).await;
    }

    let taken = answer(deaf).await.len();
    assert!(taken > 0 && taken < BIG, "it was cut off after {taken} bytes");
}

#[tokio::test]
async fn who_is_being_answered_keeps_the_place() {
    let directory = served(2);
    let (mut first, second) = (ask(directory.path(), "/never").await, ask(directory.path(), "/never").await);
    let third = tokio::spawn(answer(ask(directory.path(), "/").await));
    let mut byte = [0];
    let is_cut_off = timeout(PAUSE * 3, first.read(&mut byte)).await.is_ok();

    // With its place free, whoever waited is served.
    drop(second);

    assert!(!is_cut_off);
    assert!(third.await.expect("it ends").ends_with("answer"));
    drop(first);
}

#[tokio::test]
async fn who_has_asked_keeps_the_place_however_long_the_daemon_takes_to_hear() {
    let directory = TempDir::new().expect("a directory can be made");
    let listener = UnixListener::bind(directory.path().join("socket")).expect("a socket can be made");
    let router = Router::new().route("/", get(async || "answer"));
    let first = ask(directory.path(), "/").await;
    let (stream, _) = listener.accept().await.expect("somebody came");
    let mut guests = Guests::default();
    guests.seat(stream, router, Patience::default());
    // Nothing of this thread's runs meanwhile, as on a machine that has no time for the daemon.
    std::thread::sleep(GRACE * 2);

    guests.make_room(1).await;

    assert!(answer(first).await.ends_with("answer"));
}

#[tokio::test]
async fn who_takes_too_long_to_ask_is_shown_out() {
    let directory = TempDir::new().expect("a directory can be made");
    let listener = UnixListener::bind(directory.path().join("socket")).expect("a socket can be made");
    let brief = Duration::from_millis(20);
    let patience = Patience { places: 9, to_ask: brief, to_listen: brief };
    tokio::spawn(receive(listener, Router::new(), patience));
    let mut slow = UnixStream::connect(directory.path().join("socket")).await.expect("it listens");

    slow.write_all(b"GET / HT").await.expect("it is heard");

    // Ends, whenever that is.
    let _ = answer(slow).await;
}
