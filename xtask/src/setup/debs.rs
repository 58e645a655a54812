//! Debian packages of any suite, unpacked into a folder of this user's.
//!
//! They are not installed: their scripts do not run, no service of theirs starts, and neither the machine's
//! packages nor its lists change. `apt-get` fetches them with a state of its own and verifies their signatures.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::{
    linker_path::data_dir,
    links::point_to,
    packages,
    pins::{Debian, Package},
};
use crate::{console, process};

/// Packages that are unpacked.
#[derive(Debug)]
pub(super) struct Debs {
    folder: PathBuf,
}

impl Debs {
    /// Those of `wanted` that are not there are fetched and unpacked first.
    ///
    /// A package that is there stays as it is, whatever the suite has by then: removing `debs` from the folder of
    /// what set-up keeps makes it fetch all anew.
    pub(super) fn with<'a>(debian: &Debian, wanted: impl IntoIterator<Item = &'a Package>) -> Result<Self> {
        let folder =
            data_dir().context("neither XDG_DATA_HOME nor HOME says where to keep packages")?.join("debs");
        let mut missing: Vec<_> =
            wanted.into_iter().filter(|package| find(&folder, package).is_none()).collect();
        missing.sort_by_key(|package| (&package.suite, &package.name));
        missing.dedup();
        if !missing.is_empty() {
            check_tools(debian)?;
        }
        for of_suite in missing.chunk_by(|one, other| one.suite == other.suite) {
            fetch(debian, &folder, of_suite)?;
        }
        Ok(Self { folder })
    }

    /// Where `path` of a package lies.
    pub(super) fn path(&self, package: &Package, path: &str) -> Result<PathBuf> {
        let Package { name, suite } = package;
        let folder =
            find(&self.folder, package).with_context(|| format!("{name} of {suite} is not unpacked"))?;
        let path = folder.join(path);
        ensure!(path.exists(), "{name} of {suite} has no {}: the package has changed", path.display());
        Ok(path)
    }
}

/// Where a package is unpacked, by its version: paths that are in use stay what they are when it is fetched anew.
fn find(folder: &Path, package: &Package) -> Option<PathBuf> {
    fs::canonicalize(link(folder, package)).ok().filter(|unpacked| unpacked.is_dir())
}

fn link(folder: &Path, Package { name, suite }: &Package) -> PathBuf {
    folder.join(suite).join(name)
}

fn check_tools(debian: &Debian) -> Result<()> {
    for tool in ["apt-get", "dpkg-deb"] {
        ensure!(
            process::find(tool).is_some(),
            "there is no {tool}, which fetches and unpacks packages of Debian: use a machine with Debian or what is \
             made of it"
        );
    }
    if !debian.keyring.exists() {
        packages::install(&["debian-archive-keyring"], "the keys of Debian's archive")?;
    }
    ensure!(
        debian.keyring.exists(),
        "there are no keys of Debian's archive in {}, as the root Cargo.toml says",
        debian.keyring.display()
    );
    Ok(())
}

/// Fetches packages of one suite, and unpacks each below `folder`.
fn fetch(debian: &Debian, folder: &Path, wanted: &[&Package]) -> Result<()> {
    let Some(Package { suite, .. }) = wanted.first() else { return Ok(()) };
    let names: Vec<_> = wanted.iter().map(|package| package.name.as_str()).collect();
    let apt = Apt::new(debian, suite)?;
    process::run_with_progress(&format!("fetching the list of Debian {suite}"), apt.command().arg("update"))?;
    let mut download = apt.command();
    download.arg("download").args(&names).current_dir(apt.downloads());
    process::run_with_progress(&format!("fetching {} of {suite}", names.join(", ")), &mut download)?;

    for package in wanted {
        let deb = downloaded(&apt.downloads(), &package.name)?;
        unpack(&deb, package, folder).with_context(|| format!("cannot unpack {}", deb.display()))?;
    }
    Ok(())
}

/// A state of apt that knows one suite, gone when it is dropped.
struct Apt {
    state: TempDir,
}

impl Apt {
    fn new(debian: &Debian, suite: &str) -> Result<Self> {
        let state = TempDir::with_prefix("keepalive-apt-").context("cannot make a folder for apt's state")?;
        let put = |path: &str, text: &str| -> Result<()> {
            let path = state.path().join(path);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        for part in ["downloads", "state/lists/partial", "cache/archives/partial"] {
            let path = state.path().join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        // Of a suite's many lists, the one that says where its packages are.
        let options = format!("signed-by={} target=Packages lang=none", debian.keyring.display());
        put("sources.list", &format!("deb [{options}] {} {suite} main\n", debian.mirror))?;
        put("status", "")?;
        Ok(Self { state })
    }

    /// `apt-get` with this state; its other settings, a proxy among them, are the machine's.
    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "-o", "Dir::Etc::SourceParts=/dev/null"]);
        // The user of apt's downloads may not write to this user's folders.
        command.args(["-o", "APT::Sandbox::User=root"]);
        for (setting, path) in [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::State", "state"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            command.arg("-o").arg(format!("{setting}={}", self.state.path().join(path).display()));
        }
        command
    }

    fn downloads(&self) -> PathBuf {
        self.state.path().join("downloads")
    }
}

/// The file of a package, which apt names `NAME_VERSION_ARCHITECTURE.deb`.
fn downloaded(folder: &Path, name: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if version(&path).is_some_and(|(of, _)| of == name) {
            return Ok(path);
        }
    }
    bail!("apt-get fetched no package {name}")
}

/// The name and the version in a package's file name, where a colon of the version is written `%3a`: no path with
/// it breaks a `PATH`.
fn version(deb: &Path) -> Option<(&str, &str)> {
    let mut parts = deb.file_name()?.to_str()?.split('_');
    Some((parts.next()?, parts.next()?))
}

/// Unpacks into a folder named after the version, which appears in one step.
fn unpack(deb: &Path, package: &Package, folder: &Path) -> Result<()> {
    let (name, version) = version(deb).context("its name has no version")?;
    let suite = folder.join(&package.suite);
    fs::create_dir_all(&suite).with_context(|| format!("cannot make {}", suite.display()))?;
    let unpacked = suite.join(format!("{name}-{version}"));
    if !unpacked.exists() {
        let temporary = TempDir::with_prefix_in(".unpacking-", &suite)
            .with_context(|| format!("cannot make a folder in {}", suite.display()))?;
        let content = temporary.path().join("content");
        process::output(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(&content))?;
        // Another process may have been faster, with the same content.
        if let Err(error) = fs::rename(&content, &unpacked)
            && !unpacked.exists()
        {
            return Err(error).with_context(|| format!("cannot create {}", unpacked.display()));
        }
    }
    point_to(&unpacked, &link(folder, package))?;
    console::progress(format_args!("{name} {version} is in {}", unpacked.display()));
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package { name: name.to_owned(), suite: "sid".to_owned() }
    }

    #[test]
    fn a_file_tells_its_package_and_its_version() {
        let deb = Path::new("/tmp/busybox-static_1%3a1.35.0-4_amd64.deb");

        assert_eq!(version(deb), Some(("busybox-static", "1%3a1.35.0-4")));
    }

    #[test]
    fn a_package_is_not_taken_for_another_with_a_longer_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["containerd-dev_1_amd64.deb", "containerd_2_amd64.deb"] {
            fs::write(folder.path().join(name), "").unwrap();
        }

        assert_eq!(
            downloaded(folder.path(), "containerd").unwrap(),
            folder.path().join("containerd_2_amd64.deb")
        );
        assert!(downloaded(folder.path(), "contain").is_err());
    }

    #[test]
    fn a_link_to_nothing_is_no_package() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sid")).unwrap();
        let gone = folder.path().join("sid/containerd-1");
        point_to(&gone, &link(folder.path(), &package("containerd"))).unwrap();

        assert_eq!(find(folder.path(), &package("containerd")), None);

        fs::create_dir(&gone).unwrap();
        assert_eq!(find(folder.path(), &package("containerd")), Some(fs::canonicalize(gone).unwrap()));
    }
}
