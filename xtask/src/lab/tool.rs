//! Runs the small tools the lab is made of (`ip`, `nft`, `ss`, `conntrack`) to their end.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{self, describe};

/// What to start for `program`: `sudo` may keep the `PATH` of a user, which lacks the administrator's tools.
pub(super) fn path(program: &str) -> OsString {
    process::find(program).map_or_else(|| program.into(), OsString::from)
}

/// What `command` prints on stdout.
///
/// # Errors
/// When it cannot be started or ends with a failure; the error names the command and what it said.
pub(super) fn output(command: &mut Command) -> Result<String> {
    run(command, None)
}

/// Like [`output`], with `input` on the command's stdin.
pub(super) fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    run(command, Some(input))
}

/// Explains a failure to start `command`.
pub(super) fn start_failure(command: &Command, error: std::io::Error) -> anyhow::Error {
    let cure = match error.kind() {
        ErrorKind::NotFound => "; `cargo xtask setup` installs the tools it needs",
        ErrorKind::PermissionDenied => "; this needs root",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("could not start `{}`{cure}", describe(command)))
}

fn run(command: &mut Command, input: Option<&str>) -> Result<String> {
    // A group of its own, because Ctrl-C goes to the terminal's group and must not kill a removal half-way.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| start_failure(command, error))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).with_context(|| format!("writing to `{}`", describe(command)))?;
    }
    let output = child.wait_with_output().with_context(|| format!("waiting for `{}`", describe(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", describe(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn input_reaches_the_command_and_its_output_comes_back() {
        let said = output_with_input(&mut Command::new("cat"), "one\ntwo\n").unwrap();

        assert_eq!(said, "one\ntwo\n");
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();

        let message = format!("{error:#}");
        assert!(message.contains("sh -c"), "{message}");
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(message.ends_with("broken"), "{message}");
    }

    #[test]
    fn a_missing_tool_is_reported_with_its_cure() {
        let error = output(&mut Command::new("no-such-tool-anywhere")).unwrap_err();

        assert!(format!("{error:#}").contains("cargo xtask setup"));
    }
}
