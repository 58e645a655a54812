//! The program's command line, as a manifest or a unit uses it.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _};
use keepalive_daemon::cli::Cli;

/// One call of the program, as the program understands it.
pub(crate) struct Call {
    verb: Command,
    options: ArgMatches,
}

impl Call {
    /// Reads `arguments`, the verb first, and `variables`.
    ///
    /// The variables are read as the options they stand for, so that this process's own have no say.
    ///
    /// # Panics
    /// If the program would refuse them, or knows no such variable.
    pub(crate) fn parse(arguments: &[String], variables: &[(String, String)]) -> Self {
        let program = without_variables(Cli::command());
        let verb = verb(&arguments[0]);
        let from_variables = variables.iter().map(|(name, value)| option(&verb, name, value));
        let words = ["keepalive-daemon".to_owned()].into_iter().chain(arguments.iter().cloned());
        let words: Vec<_> = words.chain(from_variables).collect();
        let matches =
            program.try_get_matches_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let (_, options) = matches.subcommand().unwrap();
        Self { options: options.clone(), verb }
    }

    /// The value of the option `--<long>`, given or by default.
    pub(crate) fn value(&self, long: &str) -> Option<String> {
        let found = self.verb.get_arguments().find(|argument| argument.get_long() == Some(long));
        let id = found.unwrap_or_else(|| panic!("there is no --{long}")).get_id();
        let mut values = self.options.get_raw(id.as_str())?;
        values.next().map(|value| value.to_str().unwrap().to_owned())
    }

    /// The path that the option `--<long>` names.
    pub(crate) fn path(&self, long: &str) -> PathBuf {
        self.value(long).unwrap_or_else(|| panic!("--{long} has no value")).into()
    }
}

/// The option of `run` that the variable `name` stands for.
pub(crate) fn option_of_run(name: &str) -> Option<Arg> {
    verb("run").get_arguments().find(|argument| stands_for(argument, name)).cloned()
}

/// All variables that stand for options of `run`.
pub(crate) fn variables_of_run() -> BTreeSet<String> {
    let verb = verb("run");
    verb.get_arguments().filter_map(|it| it.get_env()?.to_str().map(str::to_owned)).collect()
}

fn verb(name: &str) -> Command {
    let program = Cli::command();
    program.find_subcommand(name).unwrap_or_else(|| panic!("there is no verb {name}")).clone()
}

fn option(verb: &Command, variable: &str, value: &str) -> String {
    let found = verb.get_arguments().find(|argument| stands_for(argument, variable));
    let argument = found.unwrap_or_else(|| panic!("`{}` reads no {variable}", verb.get_name()));
    let long = argument.get_long().unwrap();
    match argument.get_action() {
        ArgAction::SetTrue => panic!("{variable}: a switch belongs into the arguments, as --{long}"),
        _ => format!("--{long}={value}"),
    }
}

fn stands_for(argument: &Arg, variable: &str) -> bool {
    argument.get_env().is_some_and(|name| name == variable)
}

fn without_variables(program: Command) -> Command {
    let verbs: Vec<_> = program.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.into_iter().fold(program, |program, verb| {
        program.mut_subcommand(verb, |verb| verb.mut_args(|argument| argument.env(None::<&'static str>)))
    })
}
