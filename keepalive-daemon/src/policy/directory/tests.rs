#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use nix::sys::stat::Mode;
use tempfile::{TempDir, tempdir};

use super::*;

fn document(name: &str) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
         spec: {{cgroups: [x]}}\n"
    )
}

/// A directory with policy files, each with one policy.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempdir().unwrap();
    for (file, policy) in files {
        fs::write(directory.path().join(file), document(policy)).unwrap();
    }
    directory
}

fn names(set: &PolicySet) -> Vec<&str> {
    set.iter().map(|policy| policy.id.name.as_str()).collect()
}

fn loaded(directory: &TempDir) -> PolicySet {
    load(directory.path(), &Limits::default()).unwrap()
}

/// What is wrong with the files, without the path of the directory.
fn refused(directory: &TempDir) -> Vec<String> {
    match load(directory.path(), &Limits::default()).unwrap_err() {
        LoadError::Invalid(mistakes) => {
            let prefix = format!("{}/", directory.path().display());
            mistakes.iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect()
        }
        error @ LoadError::Io { .. } => unreachable!("{error}"),
    }
}

#[test]
fn all_policy_files_are_read_and_no_others() {
    let directory = directory(&[
        ("a.yaml", "a"),
        ("b.yml", "b"),
        (".hidden.yaml", "hidden"),
        ("c.yaml.bak", "c"),
        ("d.json", "d"),
        ("yaml", "e"),
    ]);
    fs::create_dir(directory.path().join("below")).unwrap();
    fs::write(directory.path().join("below/f.yaml"), document("f")).unwrap();

    assert_eq!(names(&loaded(&directory)), ["a", "b"]);
}

#[test]
fn an_empty_directory_has_no_policies() {
    assert!(loaded(&tempdir().unwrap()).is_empty());
}

#[test]
fn a_config_map_is_read_through_its_links_before_and_after_the_swap() {
    let directory = tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (version, policy) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("policy.yaml"), document(policy)).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/policy.yaml", at("policy.yaml")).unwrap();

    let before = loaded(&directory);
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    let after = loaded(&directory);

    assert_eq!((names(&before), names(&after)), (vec!["old"], vec!["new"]));
}

#[test]
fn a_directory_that_changes_while_it_is_read_is_read_again() {
    let directory = directory(&[("a.yaml", "a"), ("b.yaml", "b")]);
    let mut reads = 0;

    let set = snapshot(directory.path(), |files| {
        let set = read_all(files, &Limits::default()).unwrap();
        reads += 1;
        if reads == 1 {
            let next = directory.path().join(".next");
            fs::write(&next, document("c")).unwrap();
            fs::rename(&next, directory.path().join("a.yaml")).unwrap();
        }
        set
    });

    assert_eq!(names(&set.unwrap()), ["b", "c"]);
    assert_eq!(reads, 2);
}

#[test]
fn the_swap_of_a_config_map_in_the_midst_of_reading_yields_the_new_one() {
    let directory = tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (version, policies) in [("..1", ["a1", "b1"]), ("..2", ["a2", "b2"])] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("a.yaml"), document(policies[0])).unwrap();
        fs::write(at(version).join("b.yaml"), document(policies[1])).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/a.yaml", at("a.yaml")).unwrap();
    symlink("..data/b.yaml", at("b.yaml")).unwrap();

    let read = snapshot(directory.path(), |files| {
        let first = policies(&files[0].path, &Limits::default()).unwrap();
        if first[0].id.name == "a1" {
            symlink("..2", at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        }
        let second = policies(&files[1].path, &Limits::default()).unwrap();
        [first[0].id.name.clone(), second[0].id.name.clone()]
    });

    assert_eq!(read.unwrap(), ["a2", "b2"]);
}

#[test]
fn a_directory_that_never_rests_is_an_error() {
    let directory = directory(&[("a.yaml", "a")]);
    let mut reads = 0;

    let error = snapshot(directory.path(), |_| {
        reads += 1;
        fs::write(directory.path().join(format!("{reads}.yaml")), "").unwrap();
    });

    let error = anyhow::Error::new(error.unwrap_err());
    let expected = format!(
        "cannot take a snapshot of the policy directory {} (write elsewhere and rename into it): it changed \
         during each of 10 attempts",
        directory.path().display()
    );
    assert_eq!((format!("{error:#}"), reads), (expected, 10));
}

#[test]
fn a_directory_that_is_not_there_is_named_with_a_cure() {
    let error = load(Path::new("/nonexistent/policies"), &Limits::default()).unwrap_err();

    assert_eq!(
        format!("{:#}", anyhow::Error::new(error)),
        "cannot list the policy directory /nonexistent/policies (create it, or name another with --policies): No \
         such file or directory (os error 2)"
    );
}

#[test]
fn a_file_in_the_place_of_the_directory_is_said_to_be_one() {
    let file = tempfile::NamedTempFile::new().unwrap();

    let error = load(file.path(), &Limits::default()).unwrap_err();

    let said = format!("{:#}", anyhow::Error::new(error));
    assert!(
        said.contains("name the directory that the file is in") && said.contains("Not a directory"),
        "{said}"
    );
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let directory = tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("a.yaml")).unwrap();
    nix::unistd::mkfifo(&at("b.yaml"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let _socket = UnixListener::bind(at("c.yaml")).unwrap();
    symlink("/dev/zero", at("d.yaml")).unwrap();

    let shown = refused(&directory);

    let help = "help: remove it, or give it another ending";
    assert_eq!(
        shown,
        [
            format!("a.yaml: is a directory, not a regular file\n  {help}"),
            format!("b.yaml: is a FIFO, not a regular file\n  {help}"),
            format!("c.yaml: is a socket, not a regular file\n  {help}"),
            format!("d.yaml: is a device, not a regular file\n  {help}"),
        ]
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let directory = tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    symlink("nowhere", at("a.yaml")).unwrap();
    symlink("b.yaml", at("b.yaml")).unwrap();
    // Reading the first page of one's own memory fails, also for root, whom permissions do not stop.
    symlink("/proc/self/mem", at("c.yaml")).unwrap();

    let shown = refused(&directory);

    let help = "help: remove it, or make it readable";
    let absent = "help: check the path, and what a link on it points to";
    assert_eq!(
        shown,
        [
            format!("a.yaml: cannot be read: No such file or directory (os error 2)\n  {absent}"),
            format!("b.yaml: cannot be read: Too many levels of symbolic links (os error 40)\n  {help}"),
            format!("c.yaml: cannot be read: Input/output error (os error 5)\n  {help}"),
        ]
    );
}

#[test]
fn a_file_of_the_largest_size_is_read_and_a_larger_one_refused() {
    let directory = tempdir().unwrap();
    let padded = |bytes: u64| {
        let document = document("a");
        let padding = usize::try_from(bytes).unwrap() - document.len();
        document + &"#".repeat(padding)
    };
    let file = directory.path().join("a.yaml");

    fs::write(&file, padded(MAX_FILE_BYTES)).unwrap();
    let largest = loaded(&directory);
    fs::write(&file, padded(MAX_FILE_BYTES + 1)).unwrap();
    let larger = refused(&directory);

    assert_eq!(names(&largest), ["a"]);
    assert_eq!(larger, ["a.yaml: is larger than 1048576 bytes\n  help: split it into several files"]);
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_place() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), b"# \xc3\xa4\n# \xc3\xa4 \xe4\n").unwrap();

    assert_eq!(refused(&directory), ["a.yaml:2:5: this is not UTF-8 text\n  help: save the file as UTF-8"]);
}

#[test]
fn mistakes_of_all_files_are_reported_by_file() {
    let directory = directory(&[("a.yaml", "A"), ("b.yaml", "b"), ("c.yaml", "C")]);

    let shown = refused(&directory);

    assert_eq!(shown.len(), 2);
    assert!(shown[0].starts_with("a.yaml:3:18: metadata.name: `A` is not"), "{}", shown[0]);
    assert!(shown[1].starts_with("c.yaml:3:18: metadata.name: `C` is not"), "{}", shown[1]);
}

#[test]
fn a_name_in_two_files_is_refused() {
    let directory = directory(&[("a.yaml", "x"), ("b.yaml", "x")]);

    let shown = refused(&directory);

    assert_eq!(
        shown,
        ["b.yaml:3:18: metadata.name: `x` is the name of the policy at a.yaml:3:18 already\n  \
          help: give each policy a name of its own"]
    );
}

#[test]
fn more_files_than_are_read_are_an_error() {
    let directory = tempdir().unwrap();
    for i in 0..=MAX_FILES {
        fs::write(directory.path().join(format!("{i}.yaml")), "").unwrap();
    }

    let error = anyhow::Error::new(load(directory.path(), &Limits::default()).unwrap_err());
    let checked = check(&[directory.path().to_owned()], &Limits::default());

    let expected = format!(
        "cannot load the policy directory {} (it may have 1000; a file takes several policies): it has 1001 \
         policy files",
        directory.path().display()
    );
    assert_eq!(format!("{error:#}"), expected);
    assert_eq!(checked.len(), 1);
    assert_eq!(checked[0].problems[0].message, "it has 1001 policy files");
}

#[test]
fn each_checked_file_has_its_report() {
    let directory = directory(&[("a.yaml", "a"), ("b.yaml", "B"), ("c.yaml", "a")]);
    let at = |name: &str| directory.path().join(name);

    let reports = check(&[at("a.yaml"), at("b.yaml"), at("c.yaml"), at("d.yaml")], &Limits::default());

    let shown: Vec<_> = reports.iter().map(|r| (r.policies.concat(), r.problems.len())).collect();
    assert_eq!(shown, [("a".into(), 0), (String::new(), 1), ("a".into(), 1), (String::new(), 1)]);
    assert!(reports[1].problems[0].message.contains("`B` is not a DNS subdomain"));
    assert!(reports[2].problems[0].message.contains("`a` is the name of the policy at "));
    assert!(reports[3].problems[0].message.contains("No such file or directory"));
}

#[test]
fn a_directory_with_nothing_to_check_is_a_mistake() {
    let directory = directory(&[("policy.yaml.tmpl", "a")]);

    let reports = check(&[directory.path().to_owned()], &Limits::default());

    assert_eq!(reports.len(), 1);
    assert!(reports[0].problems[0].to_string().contains("has no policy file"), "{reports:?}");
}

#[test]
fn a_checked_directory_stands_for_its_files() {
    let directory = directory(&[("a.yaml", "a"), ("b.txt", "b")]);

    let reports = check(&[directory.path().to_owned()], &Limits::default());

    let files: Vec<_> = reports.iter().map(|report| report.file.clone()).collect();
    assert_eq!(files, [directory.path().join("a.yaml").display().to_string()]);
}
