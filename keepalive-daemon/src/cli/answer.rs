//! What is said of a command line that is not to be run.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Error, Parser as _};

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
    // Nobody is left to be told that nobody is left, as with `--help | head`.
    let _ = if is_plain { error.print() } else { write_plainly(&arguments, error) };
    code
}

fn is_plain(argument: &OsString) -> bool {
    let argument = argument.to_string_lossy();
    printable(&argument) == *argument
}

/// The same without colours, and with what is quoted of the arguments escaped.
fn write_plainly(arguments: &[OsString], error: Error) -> io::Result<()> {
    let escaped = arguments.iter().map(|it| printable(&it.to_string_lossy()));
    // What is escaped is no better than what was not: it is refused for the same reason.
    let error = Cli::try_parse_from(escaped).err().unwrap_or(error);
    let text = printable_lines(&error.render().to_string());
    if error.use_stderr() {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    }
}
