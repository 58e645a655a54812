//! Packages from the backports of the running Debian, where those of the release cannot be installed: a machine that
//! has one package of a source from there takes the others only from there, too (qemu-utils 10 of bookworm-backports
//! and qemu-system-x86 7.2 of bookworm exclude each other).

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{install_arguments, run_apt};

const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Lists of the release and its backports, beside those of the machine, which stay as they are.
pub(super) struct Lists {
    directory: TempDir,
    suite: String,
}

impl Lists {
    /// Those of the Debian that runs here; `None` if it is another system.
    pub(super) fn of_this_release() -> Result<Option<Self>> {
        let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let Some(codename) = codename(&release) else { return Ok(None) };
        let suite = format!("{codename}-backports");
        let directory = tempfile::Builder::new()
            .prefix("keepalive-apt-")
            .tempdir()
            .context("cannot make a folder for apt's lists")?;
        // apt reads it as a user of its own.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .context("cannot let apt read its lists")?;
        let source = |suite| format!("deb [signed-by={KEYRING}] {MIRROR} {suite} main\n");
        let sources = directory.path().join("sources.list");
        fs::write(&sources, source(codename) + &source(&suite))
            .with_context(|| format!("cannot write {}", sources.display()))?;
        fs::create_dir_all(directory.path().join("lists/partial")).context("cannot make apt's folders")?;
        Ok(Some(Self { directory, suite }))
    }

    /// Installs `packages`, from backports where they are there, and removes none.
    pub(super) fn install(&self, packages: &[&str]) -> Result<()> {
        let path = self.directory.path().display();
        let settings = [
            format!("-oDir::Etc::sourcelist={path}/sources.list"),
            "-oDir::Etc::sourceparts=-".to_owned(),
            format!("-oDir::State::lists={path}/lists"),
        ];
        run_apt("fetching the lists of backports", &settings, &["update"])?;
        let target = ["--target-release", &self.suite];
        let arguments = [&install_arguments(packages)[..], &target].concat();
        run_apt("installing the packages from backports", &settings, &arguments)
    }
}

/// The name of the Debian that `/etc/os-release` describes.
fn codename(release: &str) -> Option<&str> {
    let value = |key: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim_matches('"'))
    };
    value("ID").filter(|id| *id == "debian")?;
    value("VERSION_CODENAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_has_these_backports() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(codename(debian), Some("bookworm"));
        assert_eq!(codename("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"), None);
        assert_eq!(codename("ID=debian\n"), None, "unstable has no name");
    }
}
