//! The socket file.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::stat::{Mode, umask},
    unistd::{self, Gid},
};

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

/// A group whose members may open the socket too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(pub(crate) Gid);

impl std::str::FromStr for Group {
    type Err = String;

    /// A name, or a number.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self(Gid::from_raw(number)));
        }
        match unistd::Group::from_name(text) {
            Ok(Some(group)) => Ok(Self(group.gid)),
            Ok(None) => {
                Err(format!("there is no group {text}; write its number if it is one of a container"))
            }
            Err(error) => Err(format!("cannot look for the group {text}: {error}")),
        }
    }
}

/// What to tell whoever asks where nobody answers.
pub(crate) fn nobody(socket: &Path) -> String {
    format!("no daemon answers on {}", socket.display())
}

/// Makes the socket, in place of one that a killed daemon left; members of `group` may open it too.
pub(super) fn bind(path: &Path, group: Option<Group>) -> Result<(UnixListener, ControlSocket)> {
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
    let socket = ControlSocket(path.to_owned());
    listener.set_nonblocking(true).context("cannot use the control socket without waiting")?;
    if let Some(group) = group {
        open_to(path, group)?;
    }
    Ok((listener, socket))
}

/// First the group and then its rights: at no time is it open to another.
fn open_to(path: &Path, Group(group): Group) -> Result<()> {
    unistd::chown(path, None, Some(group)).with_context(|| {
        format!(
            "cannot give the control socket {} to group {group}; it takes CAP_CHOWN, or to be a member of it (systemd: \
             SupplementaryGroups=)",
            path.display()
        )
    })?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))
        .with_context(|| format!("cannot open the control socket {} to group {group}", path.display()))
}
