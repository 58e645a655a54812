//! Links that show which version of something is in use.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::{Context as _, Result};

/// Lets `link` point to `target`, at no time to nothing.
pub(super) fn point_to(target: &Path, link: &Path) -> Result<()> {
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    symlink(target, &temporary)
        .with_context(|| format!("cannot create {}", Path::new(&temporary).display()))?;
    fs::rename(&temporary, link).with_context(|| format!("cannot create {}", link.display()))
}
