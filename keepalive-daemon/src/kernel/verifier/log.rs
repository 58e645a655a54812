//! What the verifier says at its end.

/// Its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statistics {
    pub(super) verified: u64,
    pub(super) stack: u64,
    pub(super) verification_us: u64,
}

impl Statistics {
    /// Reads `verification time 77 usec`, `stack depth 0+88`, with the depth of each function, and `processed 3315
    /// insns (limit 1000000) …`, which are the same from 5.10 to 7.2.
    pub(super) fn parse(log: &str) -> Option<Self> {
        let after = |label: &str| log.lines().find_map(|line| line.strip_prefix(label)?.split(' ').next());
        let depths = after("stack depth ")?.split('+').map(str::parse::<u64>);
        Some(Self {
            verified: after("processed ")?.parse().ok()?,
            stack: depths.sum::<Result<_, _>>().ok()?,
            verification_us: after("verification time ")?.parse().ok()?,
        })
    }
}

/// Why it refused a program: the last that it said before the numbers.
pub(super) fn reason(log: &str) -> String {
    let is_number = |line: &str| {
        ["verification time ", "stack depth ", "processed "].iter().any(|label| line.starts_with(label))
    };
    let said = log.lines().rfind(|line| !line.trim().is_empty() && !is_number(line));
    said.unwrap_or("the kernel does not say why").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_read_from_the_last_lines() {
        let log = "func#0 @0\nverification time 633 usec\nstack depth 0+160+88+0\n\
                   processed 45769 insns (limit 1000000) max_states_per_insn 5 total_states 2328\n";

        let statistics = Statistics { verified: 45_769, stack: 248, verification_us: 633 };
        assert_eq!(Statistics::parse(log), Some(statistics));
        assert_eq!(Statistics::parse("stack depth 8\nprocessed 1 insns"), None);
    }

    #[test]
    fn why_a_program_is_refused_stands_before_the_numbers() {
        let log = "0: R1=ctx()\nunknown func bpf_setsockopt#49\nverification time 1 usec\nstack depth 0\n\
                   processed 9 insns\n";

        assert_eq!(reason(log), "unknown func bpf_setsockopt#49");
        assert_eq!(reason(""), "the kernel does not say why");
    }
}
