//! What a loop came to, for people.

use std::{
    io::{self, Write as _},
    time::Instant,
};

use super::points::Points;
use crate::{
    peer::Options,
    support::{Prober, kernel_complaints},
};

/// A loop of kills, and who connects meanwhile.
pub(super) struct Loop {
    what: &'static str,
    began: Instant,
    kills: usize,
    /// Each with the options that its connections may have.
    probers: Vec<(Prober, Vec<Options>)>,
    complaints: Vec<String>,
    pub(super) points: Points,
}

impl Loop {
    pub(super) fn new(what: &'static str, probers: Vec<(Prober, Vec<Options>)>) -> Self {
        let (began, complaints) = (Instant::now(), kernel_complaints());
        Self { what, began, kills: 0, probers, complaints, points: Points::new() }
    }

    pub(super) const fn killed(&mut self, times: usize) {
        self.kills += times;
    }

    /// What to tell of a round that fails.
    pub(super) fn round(&self, point: impl std::fmt::Debug, at: Option<&str>) -> String {
        let seed = self.points.seed();
        format!("{}, killed at {point:?} {at:?}, KEEPALIVE_CRASH_SEED={seed}", self.what)
    }

    /// Checks all connections that were made.
    pub(super) fn finish(self) {
        let Self { what, began, kills, probers, complaints, points } = self;
        for (prober, _) in &probers {
            prober.await_more(5);
        }
        let mut connections = 0;
        for (prober, may_have) in probers {
            connections += prober.connections();
            let seen = prober.finish();
            let wrong: Vec<_> = seen.iter().filter(|options| !may_have.contains(options)).collect();
            let seed = points.seed();
            assert!(wrong.is_empty(), "{what}: {wrong:?} and not {may_have:?}, KEEPALIVE_CRASH_SEED={seed}");
        }
        assert_eq!(kernel_complaints(), complaints);
        let seconds = began.elapsed().as_secs_f64();
        let _ = writeln!(
            io::stdout(),
            "kill -9 loop, {what}: {kills} kills in {seconds:.1} s, {connections} connections probed, unarmed = 0, \
             mixed = 0"
        );
    }
}
