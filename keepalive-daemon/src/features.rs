//! What kernels differ in, as far as it changes what the daemon does.
//!
//! None of it is decided by the number that a kernel calls itself: distributions bring what is new to kernels that keep
//! an old one. Each feature is found by trying, where it is used and by `probe`; since when Linux itself has it is for
//! people who choose a kernel.

use serde::{Serialize, Serializer};

use crate::policy::KernelVersion;

/// Something that one kernel has and another lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// A program sets the options of keep-alive when a connection is established: the job itself.
    SetOptions,
    /// A program reads what the application has set.
    ReadBack,
    /// A program sets whatever `setsockopt` knows.
    AnyOption,
    /// A program leaves a mark on a connection.
    Marks,
    /// A program rewrites the calls that would weaken what is enforced.
    Guard,
    /// A program that the kernel runs for each socket sets options.
    Sweep,
    /// A program that the kernel runs for each socket tells its options.
    ListOptions,
    /// Sockets are reached by duplicates of other processes' descriptors.
    Borrow,
    /// A program sees why connections end.
    DeadPeers,
    /// A program writes a line for each connection.
    Log,
    /// Connections of Multipath TCP.
    Mptcp,
    /// What programs need of memory is accounted to cgroups, and not to a limit of the daemon's.
    Memory,
    /// The verifier accepts the programs that govern of who has no `CAP_PERFMON`.
    LeastPrivilege,
}

/// What there is to say of a feature.
struct About {
    name: &'static str,
    /// The first release that has it.
    since: KernelVersion,
    /// The option that it must be built with, where kernels are built without.
    built_with: Option<&'static str>,
    /// What is not to be had, and what is instead.
    without: &'static str,
}

const TYPES: Option<&str> = Some("CONFIG_DEBUG_INFO_BTF");

impl Feature {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::SetOptions,
        Self::ReadBack,
        Self::AnyOption,
        Self::Marks,
        Self::Guard,
        Self::Sweep,
        Self::ListOptions,
        Self::Borrow,
        Self::DeadPeers,
        Self::Log,
        Self::Mptcp,
        Self::Memory,
        Self::LeastPrivilege,
    ];

    const fn about(self) -> About {
        match self {
            Self::SetOptions => about("set options at establishment", (5, 9), None, "nothing works"),
            Self::ReadBack => about(
                "read options back",
                (6, 1),
                None,
                "FillMissing and Tighten set the policy's values whatever the application set before the connection \
                 was established, and count it as `armed_blind`; what it sets later is its own",
            ),
            Self::AnyOption => {
                about("set any option", (6, 1), None, "a policy with `noDelay` or `maxSegment` is refused")
            }
            Self::Marks => about(
                "mark connections",
                (5, 9),
                None,
                "the policy of an outer cgroup wins over that of one inside it, and nothing is guarded",
            ),
            Self::Guard => about(
                "guard enforced values",
                (5, 9),
                None,
                "Enforce sets its values once, and the application may weaken them",
            ),
            Self::Sweep => about(
                "sweep open connections",
                (6, 1),
                TYPES,
                "they are reached by borrowed descriptors, but for those that nobody has accepted yet",
            ),
            Self::ListOptions => about(
                "list options of connections",
                (6, 1),
                TYPES,
                "`sockets` and `check` read them by borrowed descriptors",
            ),
            Self::Borrow => about(
                "borrow descriptors",
                (5, 6),
                None,
                "`exec --pid` is refused, and where no program sweeps open connections they keep what they have",
            ),
            Self::DeadPeers => about(
                "notice dead peers",
                (5, 9),
                TYPES,
                "`status` does not count them; nothing else changes",
            ),
            Self::Log => about("log connections", (5, 9), None, "`run --log-bpf` is refused"),
            Self::Mptcp => about(
                "Multipath TCP",
                (5, 6),
                Some("CONFIG_MPTCP"),
                "applications that ask for it get TCP, to which policies apply as to any other",
            ),
            Self::Memory => about(
                "memory without a limit",
                (5, 11),
                None,
                "RLIMIT_MEMLOCK must be high enough, or be raised with CAP_SYS_RESOURCE",
            ),
            // Of who has no CAP_PERFMON the verifier also follows what a processor may guess, where registers hold what
            // they never do. It refuses the program for it; since the commit "bpf: Fall back to nospec for Spectre
            // v1" it puts a barrier there.
            Self::LeastPrivilege => about(
                "govern without CAP_PERFMON",
                (6, 17),
                None,
                "CAP_BPF and CAP_NET_ADMIN do not suffice, and the daemon does not begin",
            ),
        }
    }

    /// What people call it; the same for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.about().name
    }

    /// The first Linux that has it.
    #[must_use]
    pub const fn since(self) -> KernelVersion {
        self.about().since
    }

    /// The option that a kernel must be built with to have it, where there are kernels without.
    #[must_use]
    pub const fn built_with(self) -> Option<&'static str> {
        self.about().built_with
    }

    /// What a node without it lacks, and what is there instead.
    #[must_use]
    pub const fn without(self) -> &'static str {
        self.about().without
    }
}

const fn about(
    name: &'static str,
    since: (u32, u32),
    built_with: Option<&'static str>,
    without: &'static str,
) -> About {
    About { name, since: KernelVersion::new(since.0, since.1), built_with, without }
}

impl Serialize for Feature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_feature_has_a_name_of_its_own_and_words_on_its_lack() {
        let names: BTreeSet<&str> = Feature::ALL.iter().map(|feature| feature.name()).collect();

        assert_eq!(names.len(), Feature::ALL.len());
        assert!(Feature::ALL.iter().all(|feature| !feature.without().is_empty()));
    }

    #[test]
    fn what_came_with_one_release_is_told_of_one_release() {
        // A program of an iterator reads by the same helper as one of sock_ops.
        let together = [Feature::ReadBack, Feature::AnyOption, Feature::Sweep, Feature::ListOptions];

        assert!(together.iter().all(|feature| feature.since() == KernelVersion::new(6, 1)));
    }
}
