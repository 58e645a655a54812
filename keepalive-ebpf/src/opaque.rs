//! Numbers that the compiler may not look into.

/// The same number, of which the compiler knows nothing. It stays in its register, while `black_box` sends it over the
/// stack, which takes longer than what is done with it.
#[inline(always)]
pub(crate) fn opaque(number: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // One instruction, because the kernel refuses what says that none is at some line of the source.
        // SAFETY: it copies a register to itself.
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack, preserves_flags));
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    core::hint::black_box(number)
}
