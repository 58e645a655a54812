//! Running a program that may take its time, but not for ever.

use std::{
    io::{ErrorKind, Read},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// Longer than any listing takes on a busy node.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than any listing has.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What a program prints.
///
/// # Errors
/// If it is missing, fails, or does not end.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("{program} is not installed"),
        _ => anyhow::Error::new(error).context(format!("cannot run {program}")),
    })?;
    let shown = || format!("{program} {}", arguments.join(" "));
    let (tell, told) = mpsc::channel();
    let (printed, complained) = (child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        let complaints = thread::spawn(move || read(complained));
        let printed = read(printed);
        // Nobody waits for it any more if it took too long.
        let _ = tell.send((printed, complaints.join().unwrap_or_default()));
    });
    let Ok((printed, complaints)) = told.recv_timeout(PATIENCE) else {
        // It has a second meaning of its own to be dead already.
        let _ = child.kill();
        let _ = child.wait();
        bail!("`{}` does not end", shown());
    };
    let status = child.wait().with_context(|| format!("cannot wait for `{}`", shown()))?;
    if !status.success() {
        bail!("`{}` failed: {}", shown(), String::from_utf8_lossy(&complaints).trim());
    }
    Ok(printed)
}

fn read(from: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(from) = from {
        // What was read before an error is what there is.
        let _ = from.take(MOST_BYTES).read_to_end(&mut all);
    }
    all
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_is_told_and_so_is_its_failure() {
        assert_eq!(output("echo", &["one", "two"]).unwrap(), b"one two\n");
        let failed = output("sh", &["-c", "echo cause >&2; exit 3"]).unwrap_err().to_string();
        assert!(failed.contains("sh -c") && failed.contains("cause"), "{failed}");
        let missing = output("no-such-program", &[]).unwrap_err().to_string();
        assert_eq!(missing, "no-such-program is not installed");
    }
}
