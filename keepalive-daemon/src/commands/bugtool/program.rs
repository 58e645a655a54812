//! Running a program that may take its time, but not for ever.

use std::{
    io::{ErrorKind, Read},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};

/// Longer than any listing takes on a busy node.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than any listing has.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// How often a list is asked for that fails.
const ATTEMPTS: usize = 5;

/// What a program prints.
///
/// # Errors
/// If it is missing, fails, or does not end.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    run(program, arguments)?
}

/// The same of one that gives up in the middle of its list when something goes away meanwhile, as bpftool does: it is asked
/// again, some times.
///
/// # Errors
/// If it is missing, fails each time, or does not end.
pub(super) fn list(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    for _ in 1..ATTEMPTS {
        if let Ok(listed) = run(program, arguments)? {
            return Ok(listed);
        }
    }
    output(program, arguments)
}

/// Runs it to its end: what it prints, or how it failed.
fn run(program: &str, arguments: &[&str]) -> Result<Result<Vec<u8>>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("{program} is not installed"),
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
        return Ok(Err(anyhow!("`{}` failed: {}", shown(), String::from_utf8_lossy(&complaints).trim())));
    }
    Ok(Ok(printed))
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

    #[test]
    fn a_list_that_fails_is_asked_for_again_and_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let tries = directory.path().join("tries");
        let fails_until = |tried: usize| {
            let script = format!("echo >> $0; test $(wc -l < $0) -ge {tried} && echo listed");
            let listed = list("sh", &["-c", &script, tries.to_str().unwrap()]);
            let text = std::fs::read_to_string(&tries).unwrap();
            std::fs::remove_file(&tries).unwrap();
            (listed.ok(), text.lines().count())
        };

        assert_eq!(fails_until(3), (Some(b"listed\n".to_vec()), 3));
        assert_eq!(fails_until(ATTEMPTS + 1), (None, ATTEMPTS));
    }
}
