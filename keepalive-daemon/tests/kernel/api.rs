//! The control socket: who may ask, what is answered, and that nobody can do harm by it.

mod clients;
mod described;
pub(crate) mod fuzz;
mod group;

use std::process::Command;

use self::{
    clients::{
        as_many_as_ask_at_once_are_answered, clients_that_do_nothing_keep_nobody_from_anything,
        listeners_are_few_and_make_room,
    },
    described::every_described_path_answers_as_it_is_described,
    group::{members_of_the_group_may_ask_and_others_may_not, only_root_may_ask_by_default},
};
use crate::{Test, support::Host};

crate::tests!(
    as_many_as_ask_at_once_are_answered,
    clients_that_do_nothing_keep_nobody_from_anything,
    every_described_path_answers_as_it_is_described,
    listeners_are_few_and_make_room,
    members_of_the_group_may_ask_and_others_may_not,
    only_root_may_ask_by_default,
);

/// The tests here, and those in a module of their own because they need a tool that the others do not.
pub(crate) const ALL: &[&[Test]] = &[TESTS, fuzz::TESTS];

/// An answer.
struct Answer {
    code: u16,
    kind: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// What `curl` that asks the control socket of a host for a path.
fn curl(host: &Host, path: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--unix-socket"]).arg(host.socket());
    command.args(["--write-out", "\\n%{http_code} %{content_type}"]).arg(format!("http://localhost{path}"));
    command
}

/// Asks, and waits for the answer.
fn ask(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let (body, told) = said.rsplit_once('\n').unwrap();
    let (code, kind) = told.split_once(' ').unwrap();
    Answer { code: code.parse().unwrap(), kind: kind.to_owned(), body: body.to_owned() }
}
