//! A policy as text: its words in hexadecimal digits, one after the other.

use keepalive_ebpf::{POLICY_WORDS, Policy};

/// The digits of a word.
const DIGITS: usize = 16;

pub(crate) fn to_text(policy: &Policy) -> String {
    policy.to_words().iter().map(|word| format!("{word:0DIGITS$x}")).collect()
}

/// The policy of a text; `None` if it is of none that this layout has.
pub(crate) fn from_text(text: &str) -> Option<Policy> {
    let digits = text.as_bytes();
    if digits.len() != POLICY_WORDS * DIGITS {
        return None;
    }
    let mut words = [0; POLICY_WORDS];
    for (word, digits) in words.iter_mut().zip(digits.chunks(DIGITS)) {
        *word = u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Policy::from_words(&words)
}

#[cfg(test)]
mod tests {
    use keepalive_ebpf::{Direction, Mode, Timers};

    use super::*;

    #[test]
    fn a_policy_is_read_as_it_was_written() {
        let timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 120_000 };
        let policy = Policy::new(Mode::Enforce, Direction::Inbound, timers)
            .claiming(true)
            .of_cgroup(u64::MAX)
            .to_destinations(1);

        assert_eq!(from_text(&to_text(&policy)), Some(policy));
    }

    #[test]
    fn what_is_no_policy_is_none() {
        let good = to_text(&Policy::NOTHING);
        let no_digit = good.replacen('0', "g", 1);
        let no_mode = good.replacen('0', "f", 1);
        for text in ["", "12", &good[1..], &no_digit, &no_mode, &format!("{good}0")] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
