//! Where the daemon's threads get their memory from.

/// Has them share one arena; called while there is one thread.
///
/// Left alone, glibc gives threads arenas of their own, up to eight for each CPU, so that they need not wait for each
/// other. What a list or a sweep has needed once stays in the arena of its thread, with holes that no other thread
/// fills: soaks of debug builds kept 56 MB, and 0.2 MB more each minute; with one they kept 22 to 44 MB, by how much
/// the threads needed at the same time, and no more. Waiting is rare, because each thread has some blocks of each size at
/// hand, and was not to be seen in how fast the daemon answers.
pub(crate) fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call sets a number of the allocator's, and no other thread uses it meanwhile.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the kernel what is free in the arena, also between what is in use, for which the allocator does not by
/// itself; to be called after what needs much memory once.
///
/// The types of the kernel, which aya reads for each program that it loads, take 20 MB for a moment: with the holes that
/// they left, a daemon kept 56 MB where 1.2 MB were in use.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
