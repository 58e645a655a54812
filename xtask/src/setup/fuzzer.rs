//! What asks the control socket everything that its description allows and more: a program of PyPI, in a Python
//! environment of its own in a folder of this user's. Nothing of it is installed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{linker_path::data_dir, packages, pins::Pins};
use crate::process;

/// The file that says what an environment has, once it has it.
const LIST: &str = "packages.txt";

/// Finds the program, and fetches it with all that it needs if one of them is not there in its version.
pub(super) fn find(pins: &Pins) -> Result<PathBuf> {
    let folder =
        data_dir().context("neither XDG_DATA_HOME nor HOME says where to keep the fuzzer")?.join("fuzzer");
    let list = list(&pins.fuzzer);
    if !fs::read_to_string(folder.join(LIST)).is_ok_and(|there| there == list) {
        make(&folder, &list).with_context(|| format!("cannot set up the fuzzer in {}", folder.display()))?;
    }
    let program = folder.join("bin/schemathesis");
    ensure!(program.exists(), "the packages of the fuzzer have no {}", program.display());
    Ok(program)
}

/// The packages as pip reads them, each in the one version that was looked at.
fn list(packages: &BTreeMap<String, String>) -> String {
    packages.iter().map(|(name, version)| format!("{name}=={version}\n")).collect()
}

fn make(folder: &Path, list: &str) -> Result<()> {
    let mut python = Command::new("python3");
    if process::output(python.args(["-c", "import ensurepip, venv"])).is_err() {
        packages::install(&["python3", "python3-venv"], "what the fuzzer runs in")?;
    }
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(folder);
    process::run_with_progress("making a Python environment for the fuzzer", &mut command)?;
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, list).with_context(|| format!("cannot write {}", wanted.display()))?;
    let mut command = Command::new(folder.join("bin/python"));
    // Wheels alone: nothing is run to be installed. And nothing that is not in the list.
    command.args([
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-input",
        "--no-deps",
    ]);
    command.args(["--only-binary", ":all:", "--requirement"]).arg(&wanted);
    process::run_with_progress("fetching the fuzzer", &mut command)?;
    let done = folder.join(LIST);
    fs::rename(&wanted, &done).with_context(|| format!("cannot write {}", done.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_listed_in_one_version() {
        let packages =
            [("b", "2"), ("a", "1.0")].map(|(name, version)| (name.to_owned(), version.to_owned()));

        assert_eq!(list(&packages.into()), "a==1.0\nb==2\n");
    }
}
