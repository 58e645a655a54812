//! What the program did, counted per cgroup and per CPU.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The value of the `COUNTERS` map. One copy a CPU, so that counting needs no atomic operation; they
        /// live as long as the cgroup.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)+
        }

        /// The names of the counters, in the order of their words.
        pub const COUNTER_NAMES: [&str; COUNTER_WORDS] = [$(stringify!($name)),+];

        impl Counters {
            /// The counters that lie in a map as `words`.
            #[must_use]
            pub const fn from_words(words: &[u64; COUNTER_WORDS]) -> Self {
                let [$($name),+] = *words;
                Self { $($name),+ }
            }

            /// The words as they lie in the map, in the order of [`COUNTER_NAMES`].
            #[must_use]
            pub const fn to_words(&self) -> [u64; COUNTER_WORDS] {
                [$(self.$name),+]
            }
        }
    };
}

counters! {
    /// Connections established by connecting.
    outbound,
    /// Connections established by accepting.
    inbound,
    /// Armed: the application had not asked for keep-alive.
    armed,
    /// Armed without reading what the application had asked for: the kernel (before 6.1) cannot tell.
    armed_blind,
    /// The application had asked for keep-alive; a value was lowered to the policy's.
    tightened,
    /// Enforce: the application had asked for keep-alive with other values, which were replaced.
    overridden,
    /// Left alone: the policy is not for this direction.
    kept_direction,
    /// Left alone: the policy is not for this destination.
    kept_destination,
    /// Left alone by `FillMissing`: the application had asked for keep-alive.
    kept_chosen,
    /// Left alone by `Tighten`: the application's values are at least as tight.
    kept_tighter,
    /// Monitor: would have been armed.
    would_arm,
    /// Monitor: the application had asked for keep-alive; `Tighten` would have lowered a value.
    would_tighten,
    /// Left alone: the policy of a deeper cgroup governs the connection.
    yielded,
    /// The kernel refused `TCP_KEEPINTVL`.
    refused_interval,
    /// The kernel refused `TCP_KEEPCNT`.
    refused_probes,
    /// The kernel refused `TCP_KEEPIDLE`.
    refused_idle,
    /// The kernel refused `TCP_USER_TIMEOUT`.
    refused_user_timeout,
    /// The kernel refused `SO_KEEPALIVE`.
    refused_keepalive,
    /// The mark that keeps the ancestors' policies off this cgroup's connection, or the one by which it is guarded,
    /// could not be left.
    refused_claim,
    /// The kernel refused one of the other options.
    refused_option,
    /// Other options that were set.
    options_set,
    /// Monitor: other options that would have been set.
    would_set_options,
    /// Enforce: a call that would have turned keep-alive off was rewritten.
    rewritten_keepalive,
    /// Enforce: a larger `TCP_KEEPIDLE` was rewritten.
    rewritten_idle,
    /// Enforce: a larger `TCP_KEEPINTVL` was rewritten.
    rewritten_interval,
    /// Enforce: a larger `TCP_KEEPCNT` was rewritten.
    rewritten_probes,
    /// Enforce: a larger `TCP_USER_TIMEOUT`, or none, was rewritten.
    rewritten_user_timeout,
    /// The errno of the last refusal; 0 if there was none.
    last_errno,
}

/// The number of 64-bit words of [`Counters`].
pub const COUNTER_WORDS: usize = size_of::<Counters>() / size_of::<u64>();

impl Counters {
    /// The sum of the copies of all CPUs. Of `last_errno` it is the largest: which CPU refused last is not
    /// recorded.
    #[must_use]
    pub fn sum<'a>(copies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = [0_u64; COUNTER_WORDS];
        let mut errno = 0;
        for copy in copies {
            for (sum, word) in total.iter_mut().zip(copy.to_words()) {
                *sum = sum.wrapping_add(word);
            }
            errno = errno.max(copy.last_errno);
        }
        Self { last_errno: errno, ..Self::from_words(&total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_fields_are_in_one_order() {
        let words: [u64; COUNTER_WORDS] = core::array::from_fn(|i| i as u64);

        let counters = Counters::from_words(&words);

        assert_eq!((counters.outbound, counters.last_errno), (0, COUNTER_WORDS as u64 - 1));
        assert_eq!(counters.to_words(), words);
        assert_eq!(COUNTER_NAMES[2], "armed");
    }

    #[test]
    fn the_sum_adds_counts_and_keeps_an_errno() {
        let one = Counters { outbound: 2, armed: 1, last_errno: 22, ..Counters::default() };
        let two = Counters { outbound: 3, last_errno: 0, ..Counters::default() };

        let sum = Counters::sum([&one, &two]);

        assert_eq!(sum, Counters { outbound: 5, armed: 1, last_errno: 22, ..Counters::default() });
    }
}
