//! How fast a machine is: with the processor's help, or emulated.

use std::{fs::OpenOptions, path::Path};

/// What runs a machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU, translating them: some ten times slower, and possible everywhere.
    Emulation,
}

impl Accelerator {
    /// The fastest that this host and this user have.
    pub(super) fn find() -> Self {
        let may_open = OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
        let modules = ["kvm_intel", "kvm_amd"].map(|module| Path::new("/sys/module").join(module).exists());
        Self::of(may_open, modules.contains(&true))
    }

    /// Others than Intel's and AMD's (`kvm_pvm` of nested clouds) open as well, and run only kernels made for them.
    const fn of(may_open: bool, is_hardware: bool) -> Self {
        if may_open && is_hardware { Self::Kvm } else { Self::Emulation }
    }

    /// The options of QEMU.
    pub(super) const fn options(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // Emulated, cmpxchg16b (cx16) now and then leaves wrong flags, of which kernels of 6.12 die at boot.
            Self::Emulation => ["-accel", "tcg,thread=multi", "-cpu", "max,-cx16"],
        }
    }

    /// In words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "with KVM",
            Self::Emulation => "emulated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_the_processors_own_module_is_no_help() {
        assert_eq!(Accelerator::of(true, true), Accelerator::Kvm);
        assert_eq!(Accelerator::of(true, false), Accelerator::Emulation);
        assert_eq!(Accelerator::of(false, true), Accelerator::Emulation);
    }
}
