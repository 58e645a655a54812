//! The same image built again, from a copy of the source in another place, with nothing that is built already.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::Image;
use crate::{process, workspace};

/// Builds the image again and sees whether it is `first`.
pub(super) fn compare(first: &Image) -> Result<()> {
    // Of other lengths, so that nothing fits by chance; removed in the end, unless the images differ.
    let place = TempDir::with_prefix("keepalive-built-again-").context("cannot make a folder")?;
    let (source, target) = (place.path().join("a/copy-of-the-source"), place.path().join("target"));
    copy_source(&source)?;
    let second = place.path().join("second.oci.tar");
    let mut command = Command::new("cargo");
    command.args(["xtask", "image", "--output"]).arg(&second).current_dir(&source);
    command.env("CARGO_TARGET_DIR", &target);
    // Those of the cargo that runs this are of this copy.
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    let said = process::output_only(&mut command).context("cannot build the image again")?;
    let digest = said.split_whitespace().find(|word| word.starts_with("sha256:"));
    let digest = digest.context("the second image has no digest")?;
    if digest != first.digest {
        let kept = place.keep();
        bail!(
            "not the same image: {} is {}, and built again in {} it is {digest}; compare the programs in them",
            first.archive.display(),
            first.digest,
            kept.display()
        );
    }
    Ok(())
}

/// Copies what git has or would add.
fn copy_source(to: &Path) -> Result<()> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let list = process::output(command.current_dir(workspace::root()))?;
    let mut copied = 0;
    // What was removed but not yet committed is in the list and not on disk.
    for name in list.split_terminator('\0').filter(|name| workspace::root().join(name).is_file()) {
        let (from, to) = (workspace::root().join(name), to.join(name));
        let folder = to.parent().unwrap_or(&to);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        copied += 1;
    }
    ensure!(copied > 0, "git lists no file in {}", workspace::root().display());
    Ok(())
}
