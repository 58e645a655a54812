//! The kernel's eBPF side as `bpftool` shows it.

use std::{
    ffi::OsStr,
    process::{Command, Output},
};

use serde_json::Value;

use super::eventually;

/// What `bpftool` says, as JSON; `Null` where it says nothing.
pub(crate) fn bpftool<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Value {
    run(arguments).unwrap_or_else(|complaint| panic!("{complaint}"))
}

/// All objects of a kind (`link`, `map`, `prog`). `bpftool` gives up in the middle of its list when an object goes
/// away meanwhile, as those of other tests do at any time.
pub(crate) fn list(kind: &str) -> Vec<Value> {
    let list = eventually(&format!("bpftool lists each {kind}"), || run([kind, "show"]).ok());
    list.as_array().cloned().unwrap_or_default()
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Value, String> {
    let mut command = Command::new("bpftool");
    let Output { status, stdout, stderr } = command.arg("-j").args(arguments).output().unwrap();
    if !status.success() {
        // With -j it complains on standard output.
        let said = [stderr, stdout].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        return Err(format!("`{}`, {status}: {said}", xtask::process::describe(&command)));
    }
    Ok(if stdout.trim_ascii().is_empty() { Value::Null } else { serde_json::from_slice(&stdout).unwrap() })
}
