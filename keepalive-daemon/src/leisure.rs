//! Work of which nobody waits for the end.

/// Makes the calling thread give way to all others, for as long as it lives.
pub(crate) fn give_way() {
    // SAFETY: it takes numbers alone, and 0 is the calling thread; at worst its priority stays.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}
