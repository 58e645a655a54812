//! Where the eBPF linker is: the one rule, which the daemon's build script includes as well. Only the
//! standard library, for that reason.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The folder of what set-up keeps for this user, `$XDG_DATA_HOME/keepalive-ebpf` or
/// `~/.local/share/keepalive-ebpf`. Apart from `~/.cargo/bin`, so that a linker of the user's own stays his.
///
/// `None` if neither `XDG_DATA_HOME` nor `HOME` is an absolute path.
pub(crate) fn data_dir() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).filter(|dir: &OsString| Path::new(dir).is_absolute());
    let data = match absolute("XDG_DATA_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(&absolute("HOME")?).join(".local/share"),
    };
    Some(data.join("keepalive-ebpf"))
}

/// The linker of this version in [`data_dir`]: a link that set-up points at the one that fits the compiler.
pub(crate) fn linker(data_dir: &Path, version: &str) -> PathBuf {
    data_dir.join(format!("bpf-linker-{version}"))
}
