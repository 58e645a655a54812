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

/// What says of its first argument which namespaces the new process gets of its own (`CLONE_NEW*`): none, as the runtimes'
/// own profiles have it. The unit has `RestrictNamespaces=net` for that, the closest that lets them be entered.
const CLONE: &str = "clone";
const NAMESPACES: u64 = 0x7e02_0000;
/// What has its arguments in memory, where no filter reads them. C libraries go on with `clone` if it is not there.
const CLONE3: &str = "clone3";
const ENOSYS: u32 = 38;

const COMMENT: &str = "Written by `cargo xtask seccomp`: what keepalive-daemon calls in the kernel tests, what other C \
                       libraries and processors have in its place, and what a runtime calls before it starts it. The \
                       tests run under it.";

/// The calls that the profile has now.
pub(super) fn read(workspace: &Path) -> Result<Vec<String>> {
    let path = workspace.join(PROFILE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let profile: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    let names = rules.filter_map(|rule| rule["names"].as_array()).flatten();
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
    let plain: Vec<_> = calls.iter().filter(|it| ![CLONE, CLONE3].contains(&it.as_str())).collect();
    let mut rules = vec![json!({ "names": plain, "action": "SCMP_ACT_ALLOW", "comment": COMMENT })];
    if calls.contains(CLONE) {
        let argument = json!({ "index": 0, "value": NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" });
        rules.push(json!({
            "names": [CLONE], "action": "SCMP_ACT_ALLOW", "args": [argument],
            "comment": "Threads and processes, and no namespaces for them.",
        }));
    }
    if calls.contains(CLONE3) {
        rules.push(json!({
            "names": [CLONE3], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS,
            "comment": "It could make namespaces unseen; clone is used where it is not there.",
        }));
    }
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": rules });
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
    fn processes_get_no_namespaces_of_their_own() {
        let profile = profile(&["clone", "clone3", "read"].map(str::to_owned).into());

        let profile: Value = serde_json::from_str(&profile).unwrap_or_default();
        let rules = &profile["syscalls"];
        assert_eq!(rules[0]["names"], json!(["read"]));
        assert_eq!(
            (&rules[1]["names"], &rules[1]["args"][0]["value"]),
            (&json!(["clone"]), &json!(NAMESPACES))
        );
        assert_eq!((&rules[2]["action"], &rules[2]["errnoRet"]), (&json!("SCMP_ACT_ERRNO"), &json!(ENOSYS)));
    }

    #[test]
    fn the_calls_take_the_place_of_those_before() {
        let calls = (0..40).map(|number| format!("call_{number:02}")).collect();

        let unit = in_unit("A=1\nSystemCallFilter=old\nSystemCallFilter=older\nB=2\n", &calls);

        let lines: Vec<_> = unit.lines().collect();
        assert_eq!((lines.first(), lines.last(), lines.len()), (Some(&"A=1"), Some(&"B=2"), 6), "{unit}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{unit}");
        let found = lines.iter().filter_map(|line| line.strip_prefix(KEY)).flat_map(|line| line.split(' '));
        assert_eq!(found.map(str::to_owned).collect::<BTreeSet<_>>(), calls);
    }
}
