//! The images that pods are made of.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use xtask::lab::{TEST_PREFIX, scratch};

use super::containerd::{Containerd, wait_for_image};

/// What a sandbox runs, and a container that only has to be there: it sleeps, and has a shell.
pub(crate) const PAUSE: &str = "registry.test/pause:1";

/// A system without programs: a container has those of the host once the host's `/usr` is mounted on its own.
pub(crate) const USERLAND: &str = "registry.test/userland:1";

/// What [`USERLAND`] links to directories of `/usr`, as Debian and most others do.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Imports [`PAUSE`] and [`USERLAND`].
pub(super) fn import_for_pods(containerd: &Containerd) {
    let scratch = scratch(TEST_PREFIX, "images").unwrap();
    let sleep = ["/bin/busybox", "sleep", "2147483647"];
    let pause = archive(scratch.path(), "pause", PAUSE, &sleep, |root| {
        fs::create_dir(root.join("bin")).unwrap();
        fs::copy(&containerd.tools().busybox, root.join("bin/busybox")).unwrap();
        symlink("busybox", root.join("bin/sh")).unwrap();
    });
    let sleep = ["/usr/bin/sleep", "infinity"];
    let userland = archive(scratch.path(), "userland", USERLAND, &sleep, |root| {
        for directory in ["dev", "etc", "proc", "run", "sys", "tmp", "usr", "var"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        for directory in MERGED {
            symlink(format!("usr/{directory}"), root.join(directory)).unwrap();
        }
    });
    for (archive, reference) in [(pause, PAUSE), (userland, USERLAND)] {
        import(containerd, &archive);
        wait_for_image(&containerd.socket(), reference);
    }
}

/// Imports the daemon's image, as `cargo xtask image` builds it, and returns what it is called.
pub(crate) fn import_daemon(containerd: &Containerd) -> String {
    let Ok(image) = std::env::var("KEEPALIVE_IMAGE") else {
        panic!("KEEPALIVE_IMAGE does not tell where the daemon's image is; `cargo xtask test` does")
    };
    let image: xtask::image::Image = serde_json::from_str(&image).unwrap();
    import(containerd, &image.archive);
    wait_for_image(&containerd.socket(), &image.reference);
    image.reference
}

fn import(containerd: &Containerd, archive: &Path) {
    containerd.ctr(&["images", "import", archive.to_str().unwrap()]);
}

/// Writes an image of one layer in the format of `docker save`; `fill` puts the files into the layer's root.
fn archive(
    scratch: &Path,
    name: &str,
    reference: &str,
    command: &[&str],
    fill: impl FnOnce(&Path),
) -> PathBuf {
    let root = scratch.join(format!("{name}-root"));
    let content = scratch.join(name);
    fs::create_dir(&root).unwrap();
    fs::create_dir(&content).unwrap();
    fill(&root);
    tar(&root, &content.join("layer.tar"));
    let config = json!({
        // Go's names of architectures, of which these are all that the tests run on.
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Cmd": command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&content.join("layer.tar")))] },
    });
    fs::write(content.join("config.json"), config.to_string()).unwrap();
    let manifest = json!([{ "Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"] }]);
    fs::write(content.join("manifest.json"), manifest.to_string()).unwrap();
    let archive = scratch.join(format!("{name}.tar"));
    tar(&content, &archive);
    archive
}

fn tar(folder: &Path, archive: &Path) {
    let mut command = Command::new("tar");
    command.arg("--create").arg("--file").arg(archive).arg("--directory").arg(folder);
    // By name: a name of "." would come first, and readers look for "manifest.json".
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    xtask::process::output(command.args(names)).unwrap();
}

fn sha256(file: &Path) -> String {
    let line = xtask::process::output(Command::new("sha256sum").arg("--binary").arg(file)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}
