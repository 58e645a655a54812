//! What becomes of a later call of the application on a socket whose values are enforced.

use crate::{SocketOption, Timers};

/// The largest `TCP_KEEPIDLE` and `TCP_KEEPINTVL` that the kernel takes, in seconds.
const LONGEST_S: i32 = 32_767;
/// The largest `TCP_KEEPCNT`.
const MOST_PROBES: i32 = 127;

/// The value that a call must have instead of the one `asked` for, where that would weaken the values `wanted`; `None`
/// where it would not, and for what the kernel refuses anyway: the application gets the answer it would get without a
/// policy.
#[must_use]
#[inline(always)]
pub fn hold(option: SocketOption, asked: i32, wanted: &Timers) -> Option<u32> {
    let above = |wanted: u32, most| (1..=most).contains(&asked) && asked.cast_unsigned() > wanted;
    let (weakens, wanted) = match option {
        SocketOption::Keepalive => (asked == 0, 1),
        SocketOption::Idle => (above(wanted.idle_s, LONGEST_S), wanted.idle_s),
        SocketOption::Interval => (above(wanted.interval_s, LONGEST_S), wanted.interval_s),
        SocketOption::Probes => (above(wanted.probes, MOST_PROBES), wanted.probes),
        SocketOption::UserTimeout => {
            let wanted = wanted.user_timeout_ms;
            // 0 is "no limit", the loosest of all.
            (wanted != 0 && (asked == 0 || above(wanted, i32::MAX)), wanted)
        }
    };
    weakens.then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 90_000 };

    fn held(option: SocketOption, asked: &[i32]) -> Vec<Option<u32>> {
        asked.iter().map(|asked| hold(option, *asked, &WANTED)).collect()
    }

    #[test]
    fn keep_alive_is_never_turned_off() {
        assert_eq!(held(SocketOption::Keepalive, &[0, 1, 2, -1]), [Some(1), None, None, None]);
    }

    #[test]
    fn what_is_looser_becomes_the_policys() {
        assert_eq!(held(SocketOption::Idle, &[61, 7200, 32_767]), [Some(60); 3]);
        assert_eq!(held(SocketOption::Interval, &[16, 75, 32_767]), [Some(15); 3]);
        assert_eq!(held(SocketOption::Probes, &[5, 9, 127]), [Some(4); 3]);
        assert_eq!(held(SocketOption::UserTimeout, &[90_001, i32::MAX, 0]), [Some(90_000); 3]);
    }

    #[test]
    fn what_is_as_tight_is_left() {
        assert_eq!(held(SocketOption::Idle, &[60, 59, 1]), [None; 3]);
        assert_eq!(held(SocketOption::Interval, &[15, 1]), [None; 2]);
        assert_eq!(held(SocketOption::Probes, &[4, 1]), [None; 2]);
        assert_eq!(held(SocketOption::UserTimeout, &[90_000, 1]), [None; 2]);
    }

    #[test]
    fn what_the_kernel_refuses_is_left_for_it_to_refuse() {
        for option in [SocketOption::Idle, SocketOption::Interval] {
            assert_eq!(held(option, &[0, -1, i32::MIN, 32_768, i32::MAX]), [None; 5], "{option:?}");
        }
        assert_eq!(held(SocketOption::Probes, &[0, -5, 128, i32::MAX]), [None; 4]);
        assert_eq!(held(SocketOption::UserTimeout, &[-1, i32::MIN]), [None; 2]);
    }

    #[test]
    fn a_policy_without_a_user_timeout_holds_none() {
        let wanted = Timers { user_timeout_ms: 0, ..WANTED };

        for asked in [0, 1, i32::MAX] {
            assert_eq!(hold(SocketOption::UserTimeout, asked, &wanted), None);
        }
    }
}
