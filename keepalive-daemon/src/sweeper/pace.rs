//! How fast connections are changed: pure.
//!
//! A connection that has been idle for longer than its new idle time is probed at once, so whoever arms many such at
//! once sends as many packets at once, and every node of a cluster does so when all get a new policy.

use std::time::Duration;

/// The shortest pause worth making: the kernel wakes a thread some 0.1 ms late, which does not count against this.
const SHORTEST: Duration = Duration::from_millis(10);

/// Spreads changes over time.
#[derive(Debug)]
pub(super) struct Pace {
    /// What each change takes of the time; none without a limit.
    share: Duration,
    owed: Duration,
}

impl Pace {
    /// So many changes a second; 0 for no limit.
    pub(super) fn new(per_second: u32) -> Self {
        let share = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Self { share, owed: Duration::ZERO }
    }

    /// Counts a change; returns the pause to make after it, if one is due. `draw` is from 0 to 1, by chance: the pause
    /// is 0.5 to 1.5 times as long as it should be, so that nodes that began together do not stay together.
    pub(super) fn changed(&mut self, draw: f64) -> Option<Duration> {
        self.owed += self.share;
        if self.owed < SHORTEST {
            return None;
        }
        let pause = self.owed.mul_f64(0.5 + draw.clamp(0.0, 1.0));
        self.owed = Duration::ZERO;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses that so many changes make altogether.
    fn paused(pace: &mut Pace, changes: u32, draw: f64) -> Duration {
        (0..changes).filter_map(|_| pace.changed(draw)).sum()
    }

    #[test]
    fn so_many_changes_take_a_second_on_average() {
        for per_second in [1, 7, 100, 1000, 60_000] {
            let total = paused(&mut Pace::new(per_second), per_second, 0.5);

            let missing = Duration::from_secs(1).saturating_sub(total);
            assert!(total <= Duration::from_secs(1) && missing <= SHORTEST, "{per_second}: {total:?}");
        }
    }

    #[test]
    fn chance_halves_a_pause_or_lengthens_it_by_half() {
        assert_eq!(paused(&mut Pace::new(1), 10, 0.0), Duration::from_secs(5));
        assert_eq!(paused(&mut Pace::new(1), 10, 1.0), Duration::from_secs(15));
    }

    #[test]
    fn a_few_changes_of_many_allowed_are_not_held_up() {
        assert_eq!(paused(&mut Pace::new(1000), 9, 1.0), Duration::ZERO);
    }

    #[test]
    fn without_a_limit_there_is_no_pause() {
        assert_eq!(paused(&mut Pace::new(0), 100_000, 1.0), Duration::ZERO);
    }
}
