//! What is said of a command line that is not to be run.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{
    Command, CommandFactory as _, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Cli;
use crate::report::{printable, printable_lines};

/// What the names of this program's variables begin with, those of `exec` included.
const VARIABLES: &str = "KEEP";

/// Prints help, or what is wrong, as clap does. What is quoted of the command line is for a person to read and not for
/// the terminal to obey: it may be the name of a cgroup that somebody else chose.
pub(super) fn answer(error: Error) -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let variables = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(VARIABLES));
    let is_plain = arguments.iter().cloned().chain(variables.map(|(_, value)| value)).all(|it| is_plain(&it));
    let code = u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
    let error = if is_plain { error } else { plain(&arguments, error) };
    let error = name_variable(error, &arguments, |name| env::var_os(name).is_some());
    let error = name_separator(error, &arguments);
    // Nobody is left to be told that nobody is left, as with `--help | head`.
    let _ = if is_plain { error.print() } else { write_plainly(&error) };
    code
}

fn is_plain(argument: &OsString) -> bool {
    let argument = argument.to_string_lossy();
    printable(&argument) == *argument
}

/// The same with what is quoted of the arguments escaped.
fn plain(arguments: &[OsString], error: Error) -> Error {
    let escaped = arguments.iter().map(|it| printable(&it.to_string_lossy()));
    // What is escaped is no better than what was not: it is refused for the same reason.
    Cli::parse_all(escaped.map(OsString::from)).err().unwrap_or(error)
}

/// Prints without colours, and with what is quoted of variables escaped.
fn write_plainly(error: &Error) -> io::Result<()> {
    let text = printable_lines(&error.render().to_string());
    if error.use_stderr() {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    }
}

/// Says of which variable a value is that is not among the arguments: whoever set it knows it by that name.
fn name_variable(mut error: Error, arguments: &[OsString], is_set: impl Fn(&str) -> bool) -> Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = argument.split([' ', '=', '<']).next().unwrap_or_default().to_owned();
    let is_it =
        |it: &str| it.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    let is_given = arguments.iter().any(|it| is_it(&it.to_string_lossy()));
    if let Some(name) = variable(&Cli::command(), &flag)
        && !is_given
        && is_set(&name)
    {
        let tip = format!("the value is that of the variable {name}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Says what lacks before the command that `exec` is to run, as nothing does before that of `env` or `nohup`.
fn name_separator(mut error: Error, arguments: &[OsString]) -> Error {
    let is_exec = arguments.get(1).is_some_and(|verb| verb == "exec");
    let is_given = |it: &OsString| it == "--" || it.to_string_lossy().starts_with("--pid");
    if is_exec && error.kind() == ErrorKind::UnknownArgument && !arguments.iter().any(is_given) {
        let tip = "the command comes after `--`, as in `exec -- COMMAND`".to_owned();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The variable that stands for a flag, wherever the command takes it.
fn variable(command: &Command, flag: &str) -> Option<String> {
    let own =
        command.get_arguments().find(|it| it.get_long().is_some_and(|long| flag == format!("--{long}")));
    own.and_then(|it| Some(it.get_env()?.to_str()?.to_owned()))
        .or_else(|| command.get_subcommands().find_map(|verb| variable(verb, flag)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use clap::Parser as _;

    use super::*;

    /// What is said of a value that is refused, with these arguments given.
    fn said(arguments: &[&str], is_set: bool) -> String {
        let refused = ["keepalive-daemon", "run", "--cri-socket", "containerd"];
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let error = Cli::try_parse_from(refused).err().unwrap();
        name_variable(error, &arguments, |name| is_set && name == "KEEPALIVE_CRI_SOCKET").to_string()
    }

    #[test]
    fn a_value_of_a_variable_is_said_to_be_one() {
        let said = said(&["keepalive-daemon", "run"], true);

        assert!(said.contains("'containerd'") && said.contains("--cri-socket"), "{said}");
        assert!(said.contains("of the variable KEEPALIVE_CRI_SOCKET"), "{said}");
    }

    #[test]
    fn a_value_of_the_command_line_is_not() {
        for given in
            [&["keepalive-daemon", "run", "--cri-socket", "containerd"][..], &["--cri-socket=containerd"]]
        {
            let said = said(given, true);
            assert!(!said.contains("KEEPALIVE_CRI_SOCKET"), "{said}");
        }
        assert!(!said(&[], false).contains("KEEPALIVE_CRI_SOCKET"));
        assert!(said(&["--cri-socket-of-another-name"], true).contains("KEEPALIVE_CRI_SOCKET"));
    }
}
