//! Runs commands; every failure names the command and how it ended.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, ErrorKind, IsTerminal as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use nix::sys::{prctl::set_pdeathsig, signal::Signal};

mod progress;

pub use progress::run_with_progress;

/// Where programs for the administrator are; an ordinary user's `PATH` often lacks these.
const ADMIN_DIRS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Runs `command` with this program's own input and output.
///
/// # Errors
///
/// If it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| not_started(command, error))?;
    if status.success() { Ok(()) } else { Err(failed(command, status)) }
}

/// Starts `command`.
///
/// # Errors
///
/// If it cannot be started.
pub fn start(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| not_started(command, error))
}

/// Has `command` killed when the thread that starts it ends, in whatever way: for what nobody else would end.
pub fn end_with_starter(command: &mut Command) {
    let ask = || Ok(set_pdeathsig(Signal::SIGKILL)?);
    // SAFETY: between fork and exec the closure makes one system call, with two numbers; it neither allocates nor locks.
    unsafe { command.pre_exec(ask) };
}

/// Runs `command` without input and returns its standard output.
///
/// # Errors
///
/// If it cannot be started, does not succeed (the error then has its standard error), or prints what is no
/// text.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, error))?;
    if !output.status.success() {
        let failure = failed(command, output.status);
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(match said.trim() {
            "" => failure,
            said => anyhow!("{said}").context(failure),
        });
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8 text", describe(command)))
}

/// Runs `command` without input, with its standard error shown as it comes, and returns its standard output.
///
/// # Errors
///
/// If it cannot be started, does not succeed, or prints what is no text.
pub fn output_only(command: &mut Command) -> Result<String> {
    output(command.stderr(Stdio::inherit()))
}

/// Where `program` is: in `PATH` or where the administrator's programs are.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(ADMIN_DIRS.map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| is_executable(file))
}

/// Whether this process has user id 0.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Makes sure that this process is root: if it is not, becomes `sudo` running it again with the same
/// arguments and environment.
///
/// # Errors
///
/// If it is not root and there is no `sudo` to be had; the error has the command to type as root.
pub fn require_root() -> Result<()> {
    if is_root() {
        return Ok(());
    }
    let program = env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1));
    Err(become_command(&mut as_root(&command)?))
}

/// `command` as root: itself, or run by `sudo` with the environment kept, `PATH` included. Without a terminal
/// `sudo` does not ask for a password but fails.
///
/// # Errors
///
/// If this process is not root and there is no `sudo`; the error has the command to type as root.
pub fn as_root(command: &Command) -> Result<Command> {
    let mut elevated = if is_root() {
        Command::new(command.get_program())
    } else {
        let Some(sudo) = find("sudo") else {
            bail!("this needs root, and there is no `sudo`: as root, run `{}`", describe(command));
        };
        let mut sudo = Command::new(sudo);
        if !io::stdin().is_terminal() {
            sudo.arg("--non-interactive");
        }
        sudo.args(["--preserve-env", "--", "env"]);
        // sudo replaces PATH even when it keeps the rest.
        sudo.arg(assignment("PATH", &env::var_os("PATH").unwrap_or_default()));
        for (name, value) in command.get_envs() {
            if let (Some(name), Some(value)) = (name.to_str(), value) {
                sudo.arg(assignment(name, value));
            }
        }
        sudo.arg(command.get_program());
        sudo
    };
    elevated.args(command.get_args());
    if is_root() {
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => elevated.env(name, value),
                None => elevated.env_remove(name),
            };
        }
    }
    if let Some(dir) = command.get_current_dir() {
        elevated.current_dir(dir);
    }
    Ok(elevated)
}

/// Replaces this process by `command`; returns only if that fails.
pub fn become_command(command: &mut Command) -> Error {
    let error = command.exec();
    not_started(command, error)
}

/// The command as one would type it.
#[must_use]
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn assignment(name: &str, value: &OsStr) -> OsString {
    let mut assignment = OsString::from(name);
    assignment.push("=");
    assignment.push(value);
    assignment
}

fn not_started(command: &Command, error: io::Error) -> Error {
    let program = command.get_program().to_string_lossy().into_owned();
    let cure = match error.kind() {
        ErrorKind::NotFound => format!(" (is `{program}` installed?)"),
        _ => String::new(),
    };
    Error::new(error).context(format!("cannot start `{}`{cure}", describe(command)))
}

fn failed(command: &Command, status: ExitStatus) -> Error {
    anyhow!("`{}` failed: {status}", describe(command))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
