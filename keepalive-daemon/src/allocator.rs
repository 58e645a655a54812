//! Where the daemon's threads get their memory from.

/// Has them share one arena; called while there is one thread.
///
/// Left alone, glibc gives threads arenas of their own, up to eight for each CPU, so that they need not wait for each
/// other. What a list or a sweep has needed once stays in the arena of its thread, with holes that no other thread
/// fills: in a soak the daemon kept 56 MB, and slowly more, where it keeps 22 MB with one. Waiting is rare, because
/// each thread has some blocks of each size at hand, and was not to be seen in how fast it answers.
pub(crate) fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call sets a number of the allocator's, and no other thread uses it meanwhile.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
