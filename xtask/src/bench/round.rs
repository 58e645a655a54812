//! Rounds, in each of which everything that is compared is measured once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use crate::console;

/// How often a log that nobody watches gets a line.
const HEARTBEAT: Duration = Duration::from_secs(20);

impl Bench {
    /// Whether somebody wants it to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.within(Duration::ZERO)
    }

    /// Fails if somebody wants it to end: to be called between steps that take a second at most.
    pub(super) fn go_on(&self) -> Result<()> {
        ensure!(!self.is_stopped(), "interrupted");
        Ok(())
    }

    /// Calls `measure` with each of `0..things`, in another order each round, until the deadline or for so many rounds; of
    /// each thing, returns the values of all rounds. At least one round is gone through, whatever the deadline.
    pub(super) fn rounds<T>(
        &self,
        what: &str,
        things: usize,
        most: usize,
        deadline: Instant,
        mut measure: impl FnMut(usize) -> Result<T>,
    ) -> Result<Vec<Vec<T>>> {
        let mut values: Vec<Vec<T>> = (0..things).map(|_| Vec::new()).collect();
        let mut order = Shuffled::new(things);
        let (start, mut told) = (Instant::now(), Instant::now());
        for round in 1..=most {
            for thing in order.next() {
                self.go_on()?;
                values[*thing].push(measure(*thing)?);
            }
            let now = Instant::now();
            // The next one takes as long.
            if now + start.elapsed() / u32::try_from(round)? > deadline {
                break;
            }
            if console::is_watched() {
                console::status(&format!("{what}: round {round}, {} s", start.elapsed().as_secs()));
            } else if told.elapsed() > HEARTBEAT {
                told = now;
                console::progress(format_args!("{what}: round {round}, {} s", start.elapsed().as_secs()));
            }
        }
        if console::is_watched() {
            console::status("");
        }
        Ok(values)
    }
}

/// The same numbers in one order after another.
struct Shuffled {
    order: Vec<usize>,
    state: u64,
}

impl Shuffled {
    fn new(count: usize) -> Self {
        Self { order: (0..count).collect(), state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// By Fisher and Yates, with Marsaglia's xorshift: nobody is out to guess it.
    fn next(&mut self) -> &[usize] {
        for last in (1..self.order.len()).rev() {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let bound = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
            let chosen = usize::try_from(self.state % bound).unwrap_or_default();
            self.order.swap(last, chosen);
        }
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_all_and_each_comes_first_now_and_then() {
        let mut shuffled = Shuffled::new(4);
        let mut first = [0; 4];
        for _ in 0..400 {
            let order = shuffled.next().to_vec();
            first[order[0]] += 1;
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
        }

        assert!(first.iter().all(|times| (60..140).contains(times)), "{first:?}");
    }
}
