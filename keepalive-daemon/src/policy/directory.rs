//! Policy files: a directory read as one snapshot, and single files checked for their author.

mod file;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;

use super::diagnostic::{Diagnostic, Fault};
use super::{Limits, Policy, PolicySet, parse};

pub use file::MAX_FILE_BYTES;

/// Most policy files in a directory.
pub const MAX_FILES: usize = 1000;

/// How often a directory is read until nothing changes meanwhile. Whoever changes it without a pause causes
/// an event after the last change, and with it another load.
const ATTEMPTS: usize = 10;

/// Why a directory has no policy set.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory cannot be read as such.
    #[error("cannot {operation} the policy directory {} ({help})", .directory.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// The directory.
        directory: PathBuf,
        /// What to do.
        help: String,
        /// What the system said.
        source: io::Error,
    },
    /// Everything that is wrong with the files, in their order.
    #[error("{}", lines(.0))]
    Invalid(Vec<Diagnostic>),
}

/// What is to be said about one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file, as it was given.
    pub file: String,
    /// The names of the policies in it, if nothing is wrong with any of its documents.
    pub policies: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Diagnostic>,
}

/// Reads the policies of `directory`: all regular files named `*.yaml` or `*.yml`, hidden ones apart, links
/// followed, none below it. They are read as one consistent snapshot, also while files are replaced one by
/// one or, as Kubernetes does with a ConfigMap, all at once.
///
/// # Errors
///
/// When the directory cannot be read, or anything is wrong with any of its files.
pub fn load(directory: &Path, limits: &Limits) -> Result<PolicySet, LoadError> {
    snapshot(directory, |files| read_all(files, limits))?.map_err(LoadError::Invalid)
}

/// Checks files as [`load`] would check those of one directory. A directory among `paths` stands for the
/// policy files in it.
#[must_use]
pub fn check(paths: &[PathBuf], limits: &Limits) -> Vec<FileReport> {
    let mut reports = Vec::new();
    let mut valid = Vec::new();
    for path in paths {
        match files_of(path) {
            Ok(files) => reports.extend(files.iter().map(|file| check_file(file, limits, &mut valid))),
            Err(fault) => {
                let file = path.display().to_string();
                let problems = vec![Diagnostic::of_file(&file, fault)];
                reports.push(FileReport { file, policies: Vec::new(), problems });
            }
        }
    }
    for problem in PolicySet::new(valid).err().into_iter().flatten() {
        if let Some(report) = reports.iter_mut().find(|report| report.file == problem.file) {
            report.problems.push(problem);
        }
    }
    reports
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = list(path)
        .map_err(|e| Fault::new(format!("cannot be listed: {e}"), "give a directory you may read"))?;
    check_count(&entries)?;
    // To a daemon it is a directory without policies; whoever asks for a check expects something to check.
    if entries.is_empty() {
        return Err(Fault::new("has no policy file", "name policy files *.yaml or *.yml"));
    }
    Ok(entries.into_iter().map(|entry| entry.path).collect())
}

fn check_count(entries: &[Entry]) -> Result<(), Fault> {
    match entries.len() {
        0..=MAX_FILES => Ok(()),
        count => Err(Fault::new(
            format!("it has {count} policy files"),
            format!("it may have {MAX_FILES}; a file takes several policies"),
        )),
    }
}

fn check_file(path: &Path, limits: &Limits, valid: &mut Vec<Policy>) -> FileReport {
    let file = path.display().to_string();
    match policies(path, limits) {
        Ok(policies) => {
            let names = policies.iter().map(|policy| policy.id.to_string()).collect();
            valid.extend(policies);
            FileReport { file, policies: names, problems: Vec::new() }
        }
        Err(problems) => FileReport { file, policies: Vec::new(), problems },
    }
}

fn read_all(files: &[Entry], limits: &Limits) -> Result<PolicySet, Vec<Diagnostic>> {
    let mut all = Vec::new();
    let mut problems = Vec::new();
    for entry in files {
        match policies(&entry.path, limits) {
            Ok(policies) => all.extend(policies),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { PolicySet::new(all) } else { Err(problems) }
}

fn policies(path: &Path, limits: &Limits) -> Result<Vec<Policy>, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let text = file::read(path).map_err(|diagnostic| vec![diagnostic])?;
    parse(&file, &text, limits)
}

/// What `read` makes of the files, once it saw them unchanged from the first to the last.
fn snapshot<T>(directory: &Path, mut read: impl FnMut(&[Entry]) -> T) -> Result<T, LoadError> {
    let error = |operation, help: &str, source| LoadError::Io {
        operation,
        directory: directory.into(),
        help: help.to_owned(),
        source,
    };
    let unlisted = |source: io::Error| {
        let help = if directory.is_file() {
            "name the directory that the file is in with --policies"
        } else {
            "create it, or name another with --policies"
        };
        error("list", help, source)
    };
    for _ in 0..ATTEMPTS {
        let before = observe(directory).map_err(unlisted)?;
        check_count(&before.files)
            .map_err(|Fault { message, help }| error("load", &help, io::Error::other(message)))?;
        let result = read(&before.files);
        let after = observe(directory).map_err(unlisted)?;
        if before == after {
            return Ok(result);
        }
    }
    let source = io::Error::other(format!("it changed during each of {ATTEMPTS} attempts"));
    Err(error("take a snapshot of", "write elsewhere and rename into it", source))
}

/// What a directory looks like from outside, where no event tells of its changes; `None` if it cannot be read.
pub(crate) fn look(directory: &Path) -> Option<Observation> {
    observe(directory).ok()
}

/// What tells one state of a directory from another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Observation {
    directory: Identity,
    files: Vec<Entry>,
}

/// A policy file as `stat` sees it, links followed.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    path: PathBuf,
    /// `None` if it could not be asked for: reading it will say why.
    identity: Option<Identity>,
}

/// Changes whenever the content does.
#[derive(Clone, Debug, PartialEq)]
struct Identity {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let stat = fs::metadata(path)?;
        Ok(Self {
            inode: (stat.dev(), stat.ino()),
            size: stat.size(),
            modified: (stat.mtime(), stat.mtime_nsec()),
            changed: (stat.ctime(), stat.ctime_nsec()),
        })
    }
}

fn observe(directory: &Path) -> io::Result<Observation> {
    Ok(Observation { directory: Identity::of(directory)?, files: list(directory)? })
}

/// The policy files of a directory, by name.
fn list(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if is_policy_file(&name) {
            paths.push(directory.join(name));
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| Entry { identity: Identity::of(&path).ok(), path }).collect())
}

/// Whether a file of this name is read; others lie beside the policies, such as what an editor keeps while it is open.
pub(crate) fn is_policy_file(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    !hidden && matches!(Path::new(name).extension().and_then(OsStr::to_str), Some("yaml" | "yml"))
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
