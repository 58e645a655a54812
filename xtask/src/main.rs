//! Parses the command line of `cargo xtask` and calls the verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{
    bench, build, clean_host, console, demo, fuzz, image, lint, run, seccomp, setup, soak, test, vm,
};

/// The verbs of this project. Each installs what it needs of `setup` by itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Setup(setup::Options),
    Build(build::Options),
    Image(image::Options),
    Run(run::Options),
    Demo(demo::Options),
    Test(test::Options),
    Fuzz(fuzz::Options),
    Vm(vm::Options),
    Soak(soak::Options),
    #[command(hide = true)]
    SoakPeer,
    Bench(bench::Options),
    Lint(lint::Options),
    Seccomp(seccomp::Options),
    CleanHost(clean_host::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Setup(options) => setup::run(options),
        Verb::Build(options) => build::run(options),
        Verb::Image(options) => image::run(options),
        Verb::Run(options) => run::run(options),
        Verb::Demo(options) => demo::run(options),
        Verb::Test(options) => test::run(options),
        Verb::Fuzz(options) => fuzz::run(options),
        Verb::Vm(options) => vm::run(options),
        Verb::Soak(options) => soak::run(options),
        Verb::SoakPeer => soak::peer::serve(),
        Verb::Bench(options) => bench::run(options),
        Verb::Lint(options) => lint::run(options),
        Verb::Seccomp(options) => seccomp::run(options),
        Verb::CleanHost(options) => clean_host::run(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::progress(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
