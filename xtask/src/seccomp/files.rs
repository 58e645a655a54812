//! The files that have the profile.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// For container runtimes, relative to the workspace.
const PROFILE: &str = "deploy/seccomp/keepalive-daemon.json";
/// For systemd.
const UNIT: &str = "deploy/systemd/keepalive-daemon.service";
/// What begins the lines of it that have calls.
const KEY: &str = "SystemCallFilter=";
/// How long these may be.
const WIDTH: usize = 120;

const COMMENT: &str = "Written by `cargo xtask seccomp`: what keepalive-daemon calls in the kernel tests, what other C \
                       libraries and processors have in its place, and what a runtime calls before it starts it. The \
                       tests run under it.";

/// The calls that the profile has now.
pub(super) fn read(workspace: &Path) -> Result<Vec<String>> {
    let path = workspace.join(PROFILE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let profile: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let names = profile["syscalls"][0]["names"].as_array().into_iter().flatten();
    Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Puts the calls in both files.
pub(super) fn write(workspace: &Path, calls: &BTreeSet<String>) -> Result<()> {
    let unit = workspace.join(UNIT);
    let before = fs::read_to_string(&unit).with_context(|| format!("cannot read {}", unit.display()))?;
    for (path, text) in [(workspace.join(PROFILE), profile(calls)), (unit, in_unit(&before, calls))] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// As the OCI's runtime specification has it. Without architectures, and so for the processor's own alone. An unlisted call
/// fails, as with the runtimes' own profiles: what a later C library tries first it can do without, and a mistake in
/// the list costs a feature and not the daemon.
fn profile(calls: &BTreeSet<String>) -> String {
    let rule = json!({ "names": calls, "action": "SCMP_ACT_ALLOW", "comment": COMMENT });
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": [rule] });
    format!("{profile:#}\n")
}

/// The unit with these calls in the place of those that it has.
fn in_unit(unit: &str, calls: &BTreeSet<String>) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut is_written = false;
    for line in unit.lines() {
        if !line.starts_with(KEY) {
            lines.push(line.to_owned());
        } else if !std::mem::replace(&mut is_written, true) {
            lines.append(&mut wrapped(calls));
        }
    }
    lines.join("\n") + "\n"
}

/// So many lines as they take; systemd adds up what they have.
fn wrapped(calls: &BTreeSet<String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in calls {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + name.len() <= WIDTH => *line += &format!(" {name}"),
            _ => lines.push(format!("{KEY}{name}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_take_the_place_of_those_before() {
        let calls = (0..40).map(|number| format!("call_{number:02}")).collect();

        let unit = in_unit("A=1\nSystemCallFilter=old\nSystemCallFilter=older\nB=2\n", &calls);

        let lines: Vec<_> = unit.lines().collect();
        let [first, between @ .., last] = &lines[..] else { panic!("{unit}") };
        assert_eq!((*first, *last), ("A=1", "B=2"));
        assert!(between.len() == 3 && between.iter().all(|line| line.len() <= WIDTH), "{unit}");
        let found = between.iter().flat_map(|line| line.strip_prefix(KEY).unwrap_or_default().split(' '));
        assert_eq!(found.map(str::to_owned).collect::<BTreeSet<_>>(), calls);
    }
}
