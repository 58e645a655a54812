//! The first files of a machine: what mounts this host's, and what then runs.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{process, setup::Machine};

/// What mounting this host's files and telling of the tests takes.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"];

/// Writes the archive into `folder` and returns its path; `tests` is the shell script that runs the tests.
pub(super) fn build(folder: &Path, machine: &Machine, tests: &str) -> Result<PathBuf> {
    let content = folder.join("content");
    for directory in ["bin", "modules", "machine"] {
        let directory = content.join(directory);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let put = |path: &str, text: &str| {
        fs::write(content.join(path), text).with_context(|| format!("cannot write {path}"))
    };
    put("init", include_str!("init.sh"))?;
    fs::set_permissions(content.join("init"), Permissions::from_mode(0o755))
        .context("cannot allow to run init")?;
    put("modules-folder", &machine.modules.join("lib/modules").display().to_string())?;
    put("machine/tests.service", include_str!("tests.service"))?;
    put("machine/verdict.sh", include_str!("verdict.sh"))?;
    put("machine/tests.sh", &format!("{}{tests}", include_str!("tests.sh")))?;
    copy(&machine.busybox, &content.join("bin/busybox"))?;
    for (number, module) in modules(machine)?.iter().enumerate() {
        put_module(module, &content.join("modules"), number)?;
    }

    let archive = folder.join("initramfs");
    let pack = r#"set -o pipefail; "$0" find . | "$0" cpio -o -H newc -R 0:0 -F "$1""#;
    let mut command = Command::new(&machine.busybox);
    command.args(["sh", "-c", pack]).arg(&machine.busybox).arg(&archive).current_dir(&content);
    process::output(&mut command)?;
    Ok(archive)
}

/// The files of [`MODULES`] and of what they need, in the order in which they can be loaded.
fn modules(machine: &Machine) -> Result<Vec<PathBuf>> {
    let modprobe = process::find("modprobe").context("there is no modprobe, which the package kmod has")?;
    let mut command = Command::new(modprobe);
    // This host's settings are none of the machine's.
    command.args(["--config=/dev/null", "--show-depends", "--all", "--set-version", &machine.release]);
    command.arg("--dirname").arg(&machine.modules).args(MODULES);
    let files = files(&process::output(&mut command)?);
    ensure!(!files.is_empty(), "`{}` named no module", process::describe(&command));
    Ok(files)
}

/// Reads lines such as `insmod /lib/modules/6.1/kernel/fs/9p/9p.ko`; what is built in has another word.
fn files(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for file in text.lines().filter_map(|line| line.strip_prefix("insmod ")) {
        let file = PathBuf::from(file.trim());
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Copies a module, unpacked, under a name by which it is sorted.
fn put_module(module: &Path, folder: &Path, number: usize) -> Result<()> {
    let copied = folder.join(format!("{number:02}.ko"));
    if module.extension().is_none_or(|extension| extension != "xz") {
        return copy(module, &copied);
    }
    let file = File::create(&copied).with_context(|| format!("cannot create {}", copied.display()))?;
    let mut command = Command::new("xz");
    process::run(command.args(["--decompress", "--stdout"]).arg(module).stdout(file))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_is_loaded_once_after_what_it_needs_and_not_if_it_is_built_in() {
        let text = "insmod /a b/virtio.ko \ninsmod /a b/virtio_pci.ko \nbuiltin overlay\n\
                    insmod /a b/virtio.ko \ninsmod /a b/9p.ko.xz \n";

        let files = files(text);

        assert_eq!(files, ["/a b/virtio.ko", "/a b/virtio_pci.ko", "/a b/9p.ko.xz"].map(PathBuf::from));
    }
}
