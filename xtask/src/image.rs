//! `cargo xtask image`: the daemon as an OCI image in one file, built without a network.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{build, console, process, setup, workspace};

mod again;

/// How the image is built, relative to the workspace.
const CONTAINERFILE: &str = "deploy/Containerfile";

/// Builds the daemon as an OCI image in one file, as `podman load` and `ctr images import` take it.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Where to put it [default: keepalive-daemon.oci.tar in the target folder].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Build it a second time, from a copy of the source in another place, and compare: some minutes more.
    #[arg(long)]
    verify: bool,
}

/// An image in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The file, an OCI archive.
    pub archive: PathBuf,
    /// What names the image there, and in a store that it is imported into.
    pub reference: String,
    /// The digest of its manifest, as `sha256:…`; the same for the same daemon.
    pub digest: String,
}

/// Builds the image and tells where it is, how large, and its digest.
///
/// # Errors
///
/// If set-up or the build fails, the file cannot be written, or it is to be verified and the second image is another.
pub fn run(Options { output, verify }: Options) -> Result<()> {
    let output = output.map_or_else(default_output, Ok)?;
    let image = if verify { verified(&output)? } else { image(&output)? };
    let Image { archive, reference, digest } = image;
    let bytes =
        fs::metadata(&archive).with_context(|| format!("cannot look at {}", archive.display()))?.len();
    console::result(format_args!(
        "{}\n{reference}, {} MB, {digest}",
        archive.display(),
        bytes.div_ceil(1_000_000)
    ));
    Ok(())
}

/// Builds the image, and again from a copy of the source in another place, and compares.
///
/// # Errors
///
/// If set-up or a build fails, or the second image is another.
fn verified(output: &Path) -> Result<Image> {
    let image = image(output)?;
    again::compare(&image)?;
    console::progress("built twice, in two places: the same image");
    Ok(image)
}

/// Whether the image is the same, wherever it is built.
///
/// # Errors
///
/// If set-up or a build fails, or it is not.
pub fn built_twice() -> Result<Image> {
    verified(&default_output()?)
}

/// Builds the image where [`run`] puts it unless told otherwise: tests run what is deployed.
///
/// # Errors
///
/// If set-up or the build fails.
pub fn in_place() -> Result<Image> {
    image(&default_output()?)
}

fn default_output() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("keepalive-daemon.oci.tar"))
}

fn image(output: &Path) -> Result<Image> {
    let builder = Builder::new(setup::image_builder()?)?;
    let daemon = build::daemon_with(build::Options { release: true, is_static: true })?;
    let context = daemon.parent().context("the daemon has no folder")?;
    let version = env!("CARGO_PKG_VERSION");
    // As in the manifests, which so run unchanged where it is imported on the nodes. Of no registry: a short name would
    // be looked for in whichever each runtime is set to.
    let reference = format!("localhost/keepalive-daemon:{version}");
    let digest = builder.build(context, version, &reference, output)?;
    Ok(Image { archive: output.to_owned(), reference, digest })
}

/// buildah or podman, whose options are the same here, with a store of its own that is gone when it is dropped.
struct Builder {
    program: PathBuf,
    store: TempDir,
}

impl Builder {
    fn new(program: PathBuf) -> Result<Self> {
        Ok(Self { program, store: TempDir::with_prefix("keepalive-image-").context("cannot make a folder")? })
    }

    /// Writes the image to `output` and returns its digest.
    fn build(&self, context: &Path, version: &str, reference: &str, output: &Path) -> Result<String> {
        let mut command = self.command();
        command.args(["build", "--pull-never", "--format=oci"]);
        // The same daemon makes the same image, whenever it is built.
        command.args(["--timestamp=0", "--no-cache"]);
        command.arg(format!("--build-arg=VERSION={version}")).arg(format!("--tag={reference}"));
        command.arg("--file").arg(workspace::root().join(CONTAINERFILE)).arg(context);
        process::run_with_progress("building the image", &mut command)?;

        let folder =
            output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // In its folder, so that it gets its name in one step; a colon would end the path.
        let temporary = TempDir::with_prefix_in(".keepalive-image-", folder)
            .with_context(|| format!("cannot make a folder in {}", folder.display()))?;
        let (archive, digest) = (temporary.path().join("image.tar"), self.store.path().join("digest"));
        let mut command = self.command();
        command.arg("push").arg("--digestfile").arg(&digest).arg(reference);
        command.arg(format!("oci-archive:{}:{reference}", archive.display()));
        process::run_with_progress("writing the image", &mut command)?;
        fs::rename(&archive, output).with_context(|| format!("cannot create {}", output.display()))?;
        let digest =
            fs::read_to_string(&digest).with_context(|| format!("cannot read {}", digest.display()))?;
        Ok(digest.trim().to_owned())
    }

    /// Overlay file systems in the store would need rights that containers of build machines often lack.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--storage-driver", "vfs", "--root"]).arg(self.store.path().join("root"));
        command.arg("--runroot").arg(self.store.path().join("run"));
        command
    }
}
