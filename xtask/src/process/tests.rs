#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::process::ExitStatusExt as _;

use super::*;

#[test]
fn a_command_is_described_as_one_would_type_it() {
    let mut command = Command::new("cargo");
    command.args(["run", "--flag=a/b", "two words", "it's", ""]);

    assert_eq!(describe(&command), r"cargo run --flag=a/b 'two words' 'it'\''s' ''");
}

#[test]
fn a_failure_names_the_command_its_status_and_what_it_said() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo no such thing >&2; exit 3"]);

    let error = output(&mut command).unwrap_err();

    let text = format!("{error:#}");
    assert_eq!(text, "`sh -c 'echo no such thing >&2; exit 3'` failed: exit status: 3: no such thing");
}

#[test]
fn a_missing_program_is_named() {
    let error = run(&mut Command::new("no-such-program")).unwrap_err();

    assert!(format!("{error:#}").contains("is `no-such-program` installed?"), "{error:#}");
}

#[test]
fn what_ends_with_its_starter_is_killed_with_it() {
    let starter = std::thread::spawn(|| {
        let mut command = Command::new("sleep");
        end_with_starter(command.arg("600"));
        start(&mut command).unwrap()
    });

    let status = starter.join().unwrap().wait().unwrap();

    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
}

#[test]
fn a_program_is_found_where_it_is_and_only_if_it_can_be_run() {
    assert!(find("sh").is_some_and(|file| file.ends_with("sh")));
    assert_eq!(find("no-such-program"), None);
}

#[test]
fn what_a_long_command_said_is_in_its_failure() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo first; echo second >&2; exit 1"]);

    let error = run_with_progress("trying", &mut command).unwrap_err();

    let text = format!("{error:#}");
    assert!(text.contains("exit status: 1") && text.contains("first\nsecond"), "{text}");
}
