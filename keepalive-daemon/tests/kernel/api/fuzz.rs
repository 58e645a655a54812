//! Questions that a program makes up from the description: what it allows, and what it does not.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
    thread,
};

use crate::support::{Host, document, options};

crate::tests!(no_question_is_answered_but_as_described);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

/// What its answers have to be. What is refused that the description does not forbid (two parameters of which one is
/// wanted) is for people to read.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance,negative_data_rejection";

pub(crate) fn no_question_is_answered_but_as_described() {
    let Ok(fuzzer) = std::env::var("KEEPALIVE_FUZZER") else {
        panic!("KEEPALIVE_FUZZER does not tell where schemathesis is; `cargo xtask test` does")
    };
    let host = Host::new("fuzz");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let daemon = host.start();
    let address = relay(host.socket());
    // A stream without an end is followed by another test.
    let settings = host.directory().join("schemathesis.toml");
    let without_end =
        "[[operations]]\ninclude-path = \"/v1/events\"\nparameters = { \"query.follow\" = \"false\" }\n";
    std::fs::write(&settings, without_end).unwrap();

    let mut command = Command::new(fuzzer);
    command.args(["--config-file"]).arg(&settings);
    command.args(["run", &format!("http://{address}/v1/openapi.json"), "--checks", CHECKS]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "200", "--seed", "1"]);
    // No answer takes longer than what the daemon itself allows for one.
    command.args(["--request-timeout", "30", "--generation-database", "none", "--no-color"]);
    command.current_dir(host.directory());
    let output = command.output().unwrap();

    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    daemon.check().unwrap();
    let log = daemon.text(xtask::lab::Stream::Stderr);
    assert!(!log.contains("panicked"), "{log}");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0), "it went about its work");
    assert_eq!(host.status()["daemon"]["ready"], true);
}

/// Lets programs that know no unix sockets ask one, at an address of the loopback; ends with the tests.
fn relay(socket: PathBuf) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            // The daemon is gone when the test is over, and then so is whoever would connect.
            let (Ok(client), Ok(daemon)) = (client, UnixStream::connect(&socket)) else { continue };
            let _ = pass_on(client, daemon);
        }
    });
    address
}

/// Passes on both ways, each until its end.
fn pass_on(client: TcpStream, daemon: UnixStream) -> io::Result<()> {
    let (mut from_client, mut to_daemon) = (client.try_clone()?, daemon.try_clone()?);
    let (mut from_daemon, mut to_client) = (daemon, client);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_daemon);
        to_daemon.shutdown(Shutdown::Both)
    });
    thread::spawn(move || {
        let _ = io::copy(&mut from_daemon, &mut to_client);
        to_client.shutdown(Shutdown::Both)
    });
    Ok(())
}
