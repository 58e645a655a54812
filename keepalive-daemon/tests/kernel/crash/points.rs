//! Where to kill.

use std::{env, time::Duration};

use crate::support::{At, scaled};

/// At how many points of a phase a program is killed unless more are asked for.
const ROUNDS: usize = 20;

/// Points of a phase, the same for the same seed.
pub(super) struct Points {
    random: fastrand::Rng,
    seed: u64,
    rounds: usize,
}

impl Points {
    pub(super) fn new() -> Self {
        let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let seed = number("KEEPALIVE_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
        let rounds = number("KEEPALIVE_CRASH_ROUNDS")
            .map_or_else(|| scaled(ROUNDS), |rounds| rounds.try_into().unwrap());
        Self { random: fastrand::Rng::with_seed(seed), seed, rounds }
    }

    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    /// The same at half as many points, for what is done in two ways.
    pub(super) fn halved(self) -> Self {
        Self { rounds: self.rounds.div_ceil(2), ..self }
    }

    /// Steps, of so many: each of them, or one of each stretch of the same length.
    pub(super) fn steps(&mut self, steps: usize) -> Vec<At> {
        assert!(steps > 0, "nothing was done");
        if self.rounds >= steps {
            return (1..=steps).map(At::Step).collect();
        }
        let start_of = |round: usize| round * steps / self.rounds;
        let of_round = |round| At::Step(self.random.usize(start_of(round)..start_of(round + 1)) + 1);
        (0..self.rounds).map(of_round).collect()
    }

    /// A moment until `end`.
    pub(super) fn moment(&mut self, end: Duration) -> At {
        At::After(end.mul_f64(self.random.f64()))
    }

    pub(super) fn either(&mut self) -> bool {
        self.random.bool()
    }
}
