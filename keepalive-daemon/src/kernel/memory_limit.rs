//! RLIMIT_MEMLOCK, to which kernels before 5.11 charge maps and cgroup storage, storage as late as at attach.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

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
