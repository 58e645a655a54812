//! The socket file.

use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::stat::{Mode, umask};
use tokio::net::UnixListener;

/// The socket; removed when dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket(PathBuf);

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, socket = %self.0.display(), "cannot remove the control socket");
        }
    }
}

/// Makes the socket, in place of one that a killed daemon left.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, ControlSocket)> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {} for the control socket", parent.display()))?;
    }
    // Connecting fails alike on a socket that nobody serves and on a file that is none.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        bail!("{} is not a socket, and is left alone; pass another --api-socket", path.display());
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another process already answers on {}; pass another --api-socket", path.display()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path)
                .with_context(|| format!("cannot replace the stale control socket {}", path.display()))?;
        }
        Err(_) => {}
    }
    let make = || -> io::Result<UnixListener> {
        // From the first moment on: whoever connected once stays connected.
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        listener
    };
    let listener = make().with_context(|| format!("cannot make the control socket {}", path.display()))?;
    Ok((listener, ControlSocket(path.to_owned())))
}
