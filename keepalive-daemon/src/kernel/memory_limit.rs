//! RLIMIT_MEMLOCK, to which kernels before 5.11 charge maps and cgroup storage, storage as late as at attach.

use std::io;

use anyhow::{Context as _, Result};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use super::sys;

/// Sees whether maps are charged to it: with a limit of nothing, none can be made then.
///
/// # Errors
/// If none can be made under any limit, or the limit not be changed.
pub(super) fn is_charged() -> Result<bool> {
    let raised = MemoryLimit::raise();
    sys::create_map().context("cannot create a map (it needs CAP_BPF)")?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).context("cannot read RLIMIT_MEMLOCK")?;
    setrlimit(Resource::RLIMIT_MEMLOCK, 0, hard).context("cannot lower RLIMIT_MEMLOCK")?;
    let made = sys::create_map();
    setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard).context("cannot raise RLIMIT_MEMLOCK again")?;
    drop(raised);
    match made {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(true),
        Err(error) => Err(error).context("cannot create a map"),
    }
}

/// Lifts the limit until it is dropped: a command that takes this process's place must find its own.
pub(super) struct MemoryLimit {
    before: Option<(rlim_t, rlim_t)>,
}

impl MemoryLimit {
    /// Lifts the limit. That it cannot be lifted (it takes `CAP_SYS_RESOURCE`) is no error: later kernels do
    /// not charge to it, and on earlier ones the failure that follows names it.
    pub(super) fn raise() -> Self {
        let lifted = getrlimit(Resource::RLIMIT_MEMLOCK).and_then(|before| {
            setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).map(|()| before)
        });
        if let Err(errno) = lifted {
            tracing::debug!(%errno, "cannot lift RLIMIT_MEMLOCK; needed before Linux 5.11 only");
        }
        Self { before: lifted.ok() }
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        if let Some((soft, hard)) = self.before {
            // Lowering needs no right.
            let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
        }
    }
}
