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

    /// The options of QEMU for a kernel.
    ///
    /// Emulated, one thread runs both processors: with one each, what is atomic is translated into what is so between
    /// threads, and who waits for a lock keeps its holder from running. The same tests took 66 s of the host's processor
    /// instead of 42, and twice as long (QEMU 10.0, `kernel::modes` on 6.1 beside two other machines on two cores).
    ///
    /// Emulated, cmpxchg16b (cx16) now and then leaves wrong flags, of which kernels of 6.12 die at boot. Those since
    /// Linux 7 do not, and without it their programs cannot store anything with a socket.
    pub(super) fn options(self, release: &str) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Emulation => {
                let major = release.split('.').next().and_then(|major| major.parse::<u32>().ok());
                let cpu = if major.is_some_and(|major| major >= 7) { "max" } else { "max,-cx16" };
                ["-accel", "tcg,thread=single", "-cpu", cpu]
            }
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

    #[test]
    fn only_new_kernels_have_the_instruction_that_old_ones_die_of() {
        let cpu = |release| Accelerator::Emulation.options(release)[3];

        assert_eq!(cpu("6.12.107+deb13-amd64"), "max,-cx16");
        assert_eq!(cpu("7.2.13+deb14-amd64"), "max");
        assert_eq!(cpu("10.1"), "max");
    }
}
