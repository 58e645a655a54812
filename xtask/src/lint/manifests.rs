//! The manifests: one place for versions, lints and what the members share.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::MetadataCommand;
use toml::{Table, Value};

use crate::workspace;

/// What a member takes from `[workspace.package]`.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "publish"];

/// Checks the manifests of all members, and that the lock file is up to date.
pub(super) fn check() -> Result<()> {
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace::root().join("Cargo.toml")).other_options(["--locked".to_owned()]);
    let metadata = command.exec().context("cannot read the manifests, or Cargo.lock is out of date")?;

    let mut faults = Vec::new();
    for package in metadata.workspace_packages() {
        let manifest = package.manifest_path.as_std_path();
        let place = manifest.strip_prefix(workspace::root()).unwrap_or(manifest).display().to_string();
        faults.extend(member_faults(&read(manifest)?).into_iter().map(|fault| format!("{place}: {fault}")));
    }
    for package in &metadata.packages {
        if let Some(source) = package.source.as_ref().filter(|source| source.repr.starts_with("git+")) {
            faults.push(format!("Cargo.lock: {} comes from {source}, not from a registry", package.name));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

fn read(manifest: &Path) -> Result<Table> {
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    text.parse().with_context(|| format!("cannot read {}", manifest.display()))
}

/// What is wrong in the manifest of a member.
fn member_faults(manifest: &Table) -> Vec<String> {
    let mut faults = Vec::new();
    let package = manifest.get("package").and_then(Value::as_table);
    for field in INHERITED {
        if !package.and_then(|package| package.get(field)).is_some_and(is_inherited) {
            faults.push(format!("package.{field} is not that of the workspace"));
        }
    }
    for field in ["description", "license"] {
        if !package.and_then(|package| package.get(field)).is_some_and(Value::is_str) {
            faults.push(format!("package.{field} is missing"));
        }
    }
    if !manifest.get("lints").is_some_and(is_inherited) {
        faults.push("lints are not those of the workspace".to_owned());
    }
    faults.extend(foreign_dependencies(manifest, ""));
    faults
}

/// The dependencies, of all kinds and targets, whose version is not in the workspace's table.
fn foreign_dependencies(table: &Table, place: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key == "target" {
            for (target, tables) in inner {
                let tables =
                    tables.as_table().map(|tables| foreign_dependencies(tables, &format!("{target}: ")));
                faults.extend(tables.into_iter().flatten());
            }
        } else if key.ends_with("dependencies") {
            for (name, dependency) in inner {
                if !is_inherited(dependency) {
                    faults.push(format!("{place}{key}.{name} is not in the table of the workspace"));
                }
            }
        }
    }
    faults
}

/// Whether a value is `{ workspace = true }`.
fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const GOOD: &str = "
        [package]
        name = 'a'
        description = 'b'
        version.workspace = true
        edition.workspace = true
        rust-version.workspace = true
        publish.workspace = true
        license = 'MIT'
        [dependencies]
        anyhow.workspace = true
        nix = { workspace = true, features = ['fs'] }
        [lints]
        workspace = true
    ";

    #[test]
    fn a_manifest_that_shares_everything_has_no_fault() {
        assert_eq!(member_faults(&GOOD.parse().unwrap()), Vec::<String>::new());
    }

    #[test]
    fn a_version_of_its_own_is_a_fault() {
        let manifest = GOOD.replace("version.workspace = true", "version = '1.0.0'");

        let faults = member_faults(&manifest.replace("rust-version = '1.0.0'", "").parse().unwrap());

        assert!(faults.contains(&"package.version is not that of the workspace".to_owned()), "{faults:?}");
    }

    #[test]
    fn lints_and_a_licence_are_not_optional() {
        let manifest = GOOD.replace("license = 'MIT'", "").replace("[lints]", "[other]");

        let faults = member_faults(&manifest.parse().unwrap());

        assert_eq!(faults, ["package.license is missing", "lints are not those of the workspace"]);
    }

    #[test]
    fn a_dependency_outside_the_table_is_found_in_every_place() {
        let manifest = format!(
            "{GOOD}
            [build-dependencies]
            cc = '1'
            [target.'cfg(unix)'.dev-dependencies]
            rand = {{ git = 'https://example.org' }}"
        );

        let faults = member_faults(&manifest.parse().unwrap());

        assert_eq!(
            faults,
            [
                "build-dependencies.cc is not in the table of the workspace",
                "cfg(unix): dev-dependencies.rand is not in the table of the workspace"
            ]
        );
    }
}
