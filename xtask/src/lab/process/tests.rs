#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::mpsc;

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_line_is_found_on_either_stream() {
    let process = Process::spawn("talker", shell("echo first; echo second >&2")).unwrap();

    assert_eq!(process.wait_line("fir").unwrap(), "first");
    assert_eq!(process.wait_line("sec").unwrap(), "second");
}

#[test]
fn a_mark_hides_the_lines_before_it() {
    let mut process = Process::spawn("echo", Command::new("cat")).unwrap();
    process.say("ready 1").unwrap();
    process.wait_line("ready").unwrap();

    let mark = process.mark();
    process.say("ready 2").unwrap();

    assert_eq!(process.wait_line_from(mark, "ready").unwrap(), "ready 2");
}

#[test]
fn output_that_ends_without_the_line_is_shown_in_the_error() {
    let process = Process::spawn("talker", shell("echo something else; exit 4")).unwrap();
    process.wait_output().unwrap();

    let message = process.wait_line("ready").unwrap_err().to_string();

    assert!(message.contains("talker printed no line with \"ready\""), "{message}");
    assert!(message.contains("exit status: 4"), "{message}");
    assert!(message.contains("| something else"), "{message}");
}

#[test]
fn the_streams_are_kept_apart() {
    let process = Process::spawn("talker", shell("echo data; echo noise >&2; echo more")).unwrap();

    process.wait_output().unwrap();

    assert_eq!(process.text(Stream::Stdout), "data\nmore");
    assert_eq!(process.text(Stream::Stderr), "noise");
}

#[test]
fn a_signal_reaches_the_program() {
    let process =
        Process::spawn("waiter", shell("trap 'kill $!; exit 7' TERM; sleep 600 & echo up; wait")).unwrap();
    process.wait_line("up").unwrap();

    process.signal(Signal::SIGTERM).unwrap();

    assert_eq!(process.wait().unwrap().code(), Some(7));
}

#[test]
fn a_signal_to_a_program_that_ended_is_refused() {
    let process = Process::spawn("short", shell("exit 0")).unwrap();
    process.wait().unwrap();

    let refused = process.signal(Signal::SIGTERM).unwrap_err();

    assert!(refused.to_string().contains("has ended already"), "{refused}");
}

#[test]
fn dropping_kills_the_program_and_what_it_started() {
    let (sender, outputs) = mpsc::channel();
    let observer: Observer = Arc::new(move |output| sender.send(output.clone()).unwrap());
    let process = Process::observed("parent", shell("sleep 600 & echo up; wait"), observer).unwrap();
    let Output::Line(_) = outputs.recv().unwrap() else { unreachable!("the line comes first") };

    drop(process);

    let Output::Ended(status) = outputs.recv().unwrap() else { unreachable!("there is one line") };
    assert_eq!(status.signal(), Some(9));
    // The senders are gone when both pipes are closed, which the grandchild would have kept open for 600 s.
    assert!(outputs.recv().is_err());
}
