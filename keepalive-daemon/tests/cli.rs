//! The command line as a user without any right meets it: no root, no kernel.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const GOOD: &str = "\
apiVersion: keepalive.dev/v1alpha1
kind: ClusterKeepalivePolicy
metadata: {name: web}
spec: {cgroups: [\"system.slice/*.service\"], keepalive: {idle: 61s, interval: 13s, probes: 5}}
";

const BAD: &str = "\
apiVersion: keepalive.dev/v1alpha1
kind: ClusterKeepalivePolicy
metadata: {name: web}
spec:
  cgroups: [\"system.slice/*\"]
  keepalive: {idel: 61s}
";

/// Runs the program with these arguments and none of its variables set.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keepalive-daemon"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEEP") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory with these files.
fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn path(directory: &Path, file: &str) -> String {
    directory.join(file).to_str().unwrap().to_owned()
}

#[test]
fn every_verb_explains_itself() {
    for (verb, names) in [
        (&[][..], &["run", "exec", "status", "policy", "probe", "cleanup", "Exit codes", "125"][..]),
        (&["run"], &["--policies", "/etc/keepalive/policies.d", "KEEPALIVE_POLICIES", "--detach-on-exit"]),
        (&["exec"], &["--idle", "KEEPIDLE", "KEEPINTVL", "KEEPCNT", "LD_PRELOAD", "COMMAND"]),
        (&["status"], &["--api-socket", "--bpffs", "--output", "json", "Exits with 1"]),
        (&["events"], &["--follow", "--since", "--api-socket", "summed up"]),
        (&["run"], &["--api-group", "KEEPALIVE_API_GROUP"]),
        (&["top"], &["--interval", "--api-socket", "Press `?`", "`status` prints the same"]),
        (&["bugtool"], &["--output", "--with-addresses", "manifest.json", "no payload"]),
        (&["apply"], &["--existing", "--dry-run", "--namespace", "--cgroup", "--policy", "applyToExisting"]),
        (&["check"], &["--profile", "azure", "--catalogue", "--all", "--min-idle", "Exits with 3"]),
        (
            &["sockets"],
            &["--namespace", "--pod", "--cgroup", "--policy", "--unarmed", "--all", "--watch", "--output"],
        ),
        (&["policy"], &["validate"]),
        (&["policy", "validate"], &["FILE", "--min-idle", "--kernel", "neither root nor a kernel"]),
        (&["probe"], &["--bpffs", "--cgroup-root", "Exits with 1"]),
        (&["cleanup"], &["--bpffs", "Refuses", "while a daemon runs"]),
    ] {
        let output = run(&[verb, &["--help"]].concat());

        let help = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{verb:?}");
        for name in names {
            assert!(help.contains(name), "{verb:?}: {name:?} is not in:\n{help}");
        }
        assert_eq!(stderr(&output), "", "{verb:?}");
    }
}

#[test]
fn a_wrong_command_line_is_named_and_ends_with_2() {
    for (arguments, says) in [
        (&["enforce"][..], "unrecognized subcommand 'enforce'"),
        (&["statsu"], "'status'"),
        (&["policy", "lint"], "unrecognized subcommand 'lint'"),
        (&["status", "-o", "xml"], "table, json, yaml"),
        (&["status", "--verbose"], "unexpected argument '--verbose'"),
        (&["run", "--min-idle", "soon"], "'soon' for '--min-idle"),
        (&["run", "--log-format", "xml"], "text, json"),
        (&["run", "--sweep-method", "magic"], "auto, iterator, descriptors, none"),
        (&["run", "--sweep-rate", "-1"], "'-1'"),
        (&["run", "--sweep-delay", "2h"], "longer than 1h"),
        (&["top", "--interval", "1ms"], "not within 100ms and 1h"),
        (&["apply", "--dry-run"], "--existing"),
        (&["run", "--api-group", "no such group"], "there is no group no such group"),
        (&["events", "--since", "-1"], "'-1'"),
        // Known before a daemon is asked, which there is none of here.
        (&["check", "--profile", "aws,nope"], "--profile: there is no profile or middlebox \"nope\""),
        (&["sockets", "--watch", "0"], "1..=3600"),
        (&["exec", "--"], "<COMMAND>"),
        (&["exec", "java", "-jar", "shop.jar"], "`exec -- COMMAND`"),
        (&["exec", "--idle", "5s", "curl"], "`exec -- COMMAND`"),
        (&["exec", "--idel", "5s", "--", "curl"], "'--idle'"),
        (&["exec", "--idle", "soon", "--", "true"], "'soon' for '--idle"),
        (&["exec", "--probes", "many", "--", "true"], "'many' for '--probes"),
        (&["exec", "--user-timeout", "never", "--", "true"], "'never' for '--user-timeout"),
        (&["exec", "--mode", "Enforce", "--", "true"], "nothing guards the command's options here"),
        (&["exec", "--mode", "Strict", "--", "true"], "Monitor, FillMissing, Tighten"),
        (&["policy", "validate", "--kernel", "new", "x.yaml"], "'new' for '--kernel"),
        (&["policy", "validate", "--kernel", "5.8", "x.yaml"], "no daemon runs on it"),
        (&["policy", "validate"], "<FILE>..."),
        (&["policy", "validate", "--min-idle", "0", "x.yaml"], "'0' for '--min-idle"),
    ] {
        let output = run(arguments);

        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[test]
fn what_is_quoted_of_the_command_line_cannot_write_to_the_terminal() {
    let hostile = "a\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}b";
    for arguments in [
        &["sockets", hostile][..],
        &["sockets", "--watch", hostile],
        &[hostile],
        &["exec", "--idle", hostile, "--", "true"],
        &["check", "--profile", hostile],
        &["check", "--catalogue", hostile],
        &["policy", "validate", hostile],
        &["status", "--bpffs", hostile, "--api-socket", hostile],
        &["exec", "--bpffs", hostile, "--", hostile],
        &["bugtool", "--output", &format!("/nonexistent/{hostile}")],
    ] {
        let output = run(arguments);

        let said = stdout(&output) + &stderr(&output);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        assert!(said.contains("\\u{1b}[2J"), "{arguments:?} is not named in {said:?}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{arguments:?}: {said:?}");
    }
}

#[test]
fn without_a_terminal_the_live_view_names_what_to_call_instead() {
    let output = run(&["top"]);

    let said = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{said}");
    assert!(said.contains("`status`") && said.contains("sockets --watch"), "{said}");
}

#[test]
fn a_good_file_is_valid_in_every_form() {
    let directory = files(&[("web.yaml", GOOD)]);
    let file = path(directory.path(), "web.yaml");

    let [table, json, yaml] =
        ["table", "json", "yaml"].map(|format| run(&["policy", "validate", &file, "-o", format]));

    for output in [&table, &json, &yaml] {
        assert_eq!((output.status.code(), stderr(output)), (Some(0), String::new()));
    }
    assert_eq!(stdout(&table), format!("{file}: ok: web\n"));
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    let expected = json!({"valid": true, "files": [{"file": file, "policies": ["web"], "problems": []}]});
    assert_eq!(report, expected);
    assert_eq!(serde_saphyr::from_str::<Value>(&stdout(&yaml)).unwrap(), expected);
}

#[test]
fn a_variable_that_is_empty_is_as_good_as_none() {
    let directory = files(&[("web.yaml", GOOD)]);
    let file = path(directory.path(), "web.yaml");
    let with = |value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepalive-daemon"));
        command.args(["policy", "validate", &file]).env("KEEPALIVE_MIN_IDLE", value).output().unwrap()
    };

    let [empty, wrong] = ["", "soon"].map(with);

    assert_eq!((empty.status.code(), stderr(&empty)), (Some(0), String::new()));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("the variable KEEPALIVE_MIN_IDLE"), "{}", stderr(&wrong));
}

#[test]
fn a_mistake_is_told_with_its_place_and_its_cure() {
    let directory = files(&[("web.yaml", BAD)]);
    let file = path(directory.path(), "web.yaml");

    let table = run(&["policy", "validate", &file]);
    let json = run(&["policy", "validate", &file, "-o", "json"]);

    assert_eq!((table.status.code(), json.status.code()), (Some(1), Some(1)));
    let said = stdout(&table);
    assert!(said.contains(&format!("{file}:6:")), "{said}");
    assert!(said.contains("idel") && said.contains("idle"), "{said}");
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["valid"], false);
    let problem = &report["files"][0]["problems"][0];
    assert_eq!(problem["line"], 6, "{problem}");
}

#[test]
fn files_are_checked_together_as_the_directory_they_are_for() {
    let directory = files(&[("one.yaml", GOOD), ("two.yaml", GOOD), ("notes.txt", BAD)]);
    let (one, two) = (path(directory.path(), "one.yaml"), path(directory.path(), "two.yaml"));

    let alone = run(&["policy", "validate", &one]);
    let both = run(&["policy", "validate", &one, &two]);
    let whole = run(&["policy", "validate", directory.path().to_str().unwrap()]);

    assert_eq!(alone.status.code(), Some(0));
    for output in [&both, &whole] {
        let said = stdout(output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("web") && said.contains("one.yaml") && said.contains("two.yaml"), "{said}");
        assert!(!said.contains("notes.txt"), "{said}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake() {
    let directory = files(&[("not-text.yaml", "")]);
    fs::write(directory.path().join("not-text.yaml"), b"\xff\xfe\x00").unwrap();
    for file in ["missing.yaml", "not-text.yaml"] {
        let file = path(directory.path(), file);

        let output = run(&["policy", "validate", &file]);

        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&file), "{said}");
    }
}

#[test]
fn the_floor_on_idle_is_that_of_the_daemon() {
    let directory = files(&[("low.yaml", &GOOD.replace("61s", "4s"))]);
    let file = path(directory.path(), "low.yaml");

    let default = run(&["policy", "validate", &file]);
    let lower = run(&["policy", "validate", "--min-idle", "4s", &file]);

    assert_eq!(default.status.code(), Some(1));
    assert!(stdout(&default).contains("5s"), "{}", stdout(&default));
    assert_eq!(lower.status.code(), Some(0), "{}", stdout(&lower));
}

#[test]
fn what_the_kernel_of_the_nodes_lacks_is_a_mistake() {
    let spec = "options: {noDelay: true}, keepalive: {idle";
    let directory = files(&[("options.yaml", &GOOD.replace("keepalive: {idle", spec))]);
    let file = path(directory.path(), "options.yaml");

    let of_any = run(&["policy", "validate", &file]);
    let [old, new] = ["5.10", "6.1.0-13-amd64"].map(|it| run(&["policy", "validate", "--kernel", it, &file]));

    assert_eq!((of_any.status.code(), new.status.code()), (Some(0), Some(0)), "{}", stdout(&new));
    assert_eq!(old.status.code(), Some(1));
    let said = stdout(&old);
    assert!(
        said.contains("spec.options.noDelay: Linux 5.10") && said.contains("nodes before Linux 6.1"),
        "{said}"
    );
}

#[test]
fn without_a_bpffs_the_cure_is_told() {
    let directory = files(&[]);
    let (missing, socket) = (path(directory.path(), "missing"), path(directory.path(), "socket"));
    // Not the host's own cgroups: a privileged run of these tests would clean up there.
    let root = directory.path().to_str().unwrap();
    for arguments in [
        &["status", "--api-socket", &socket, "--bpffs", &missing][..],
        &["cleanup", "--cgroup-root", root, "--bpffs", &missing],
    ] {
        let output = run(arguments);

        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("mount -t bpf -o mode=0700 bpf {missing}")) && said.contains("--bpffs"),
            "{said}"
        );
        assert_eq!(said.matches("cannot read the bpffs").count(), 1, "told once: {said}");
    }
}

#[test]
fn a_version_is_told() {
    let output = run(&["--version"]);

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), concat!("keepalive-daemon ", env!("CARGO_PKG_VERSION"), "\n"));
}
