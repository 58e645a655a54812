//! What sweeps came to, all together, since the daemon started: pure.

use keepalive_ebpf::Outcome;

use super::tally::Tally;

/// What can come of a connection that was open already, by name.
const RESULTS: [(&str, Outcome); 10] = [
    ("armed", Outcome::Arm),
    ("armed_blind", Outcome::ArmBlind),
    ("tightened", Outcome::Tighten),
    ("overridden", Outcome::Override),
    ("kept_chosen", Outcome::KeepChosen),
    ("kept_tighter", Outcome::KeepTighter),
    ("kept_direction", Outcome::KeepDirection),
    ("kept_destination", Outcome::KeepDestination),
    ("would_arm", Outcome::WouldArm),
    ("would_tighten", Outcome::WouldTighten),
];

/// Connections by what came of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    results: [u64; RESULTS.len()],
    /// Of these, those of which the kernel refused an option.
    refused: u64,
}

impl Sums {
    /// Adds a sweep that is done.
    pub(super) fn add(&mut self, tally: &Tally) {
        for (sum, (_, outcome)) in self.results.iter_mut().zip(RESULTS) {
            *sum += tally.of(outcome);
        }
        self.refused += tally.refused();
    }

    /// The sums by name.
    pub(super) fn by_result(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.iter().map(|(name, _)| *name).zip(self.results).chain([("refused", self.refused)])
    }
}

#[cfg(test)]
mod tests {
    use keepalive_ebpf::Swept;

    use super::*;
    use crate::sweeper::tests::swept;

    #[test]
    fn sweeps_add_up_by_result() {
        let mut tally = Tally::default();
        tally.begin();
        tally.count(&swept(1, 1, Outcome::Arm));
        tally.count(&Swept { errno: 22, ..swept(1, 2, Outcome::Tighten) });
        tally.count(&swept(1, 3, Outcome::KeepChosen));
        let mut sums = Sums::default();
        sums.add(&tally);
        sums.add(&tally);

        let told: Vec<_> = sums.by_result().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [("armed", 2), ("tightened", 2), ("kept_chosen", 2), ("refused", 2)]);
        assert_eq!(sums.by_result().count(), RESULTS.len() + 1);
    }
}
