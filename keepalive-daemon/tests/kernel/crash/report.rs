//! What a loop came to, for people.

use std::{
    io::{self, Write as _},
    time::Instant,
};

use super::points::Points;
use crate::{
    peer::Options,
    support::{Ended, Prober, kernel_complaints},
};

/// A loop of kills, and who connects meanwhile.
pub(super) struct Loop {
    what: &'static str,
    began: Instant,
    /// At how many points it was to be killed amid what it does.
    points_tried: usize,
    /// How often it was, and how often when it had done all.
    kills: [usize; 2],
    /// Each with the options that its connections may have.
    probers: Vec<(Prober, Vec<Options>)>,
    complaints: Vec<String>,
    pub(super) points: Points,
}

impl Loop {
    pub(super) fn new(what: &'static str, probers: Vec<(Prober, Vec<Options>)>) -> Self {
        let (began, complaints) = (Instant::now(), kernel_complaints());
        Self { what, began, points_tried: 0, kills: [0; 2], probers, complaints, points: Points::new() }
    }

    /// Counts what was to be killed at a point, unless it had come to its end there.
    pub(super) fn killed(&mut self, ended: &Ended) {
        self.points_tried += 1;
        self.kills[usize::from(ended.is_done)] += usize::from(ended.code.is_none());
    }

    /// Counts a daemon that was killed when all was checked.
    pub(super) const fn killed_at_rest(&mut self) {
        self.kills[1] += 1;
    }

    /// What to tell of a round that fails.
    pub(super) fn round(&self, point: impl std::fmt::Debug, at: Option<&str>) -> String {
        let seed = self.points.seed();
        format!("{}, killed at {point:?} {at:?}, KEEPALIVE_CRASH_SEED={seed}", self.what)
    }

    /// Checks all connections that were made.
    pub(super) fn finish(self) {
        let Self { what, began, points_tried, kills, probers, complaints, points } = self;
        for (prober, _) in &probers {
            prober.await_more(5);
        }
        let [amid, at_rest] = kills;
        // Not every run takes as many steps as the first, and some are done before their time is over.
        assert!(4 * amid + 4 >= points_tried, "{what}: killed amid it {amid} times, of {points_tried}");
        let (mut connections, mut probed) = (0, String::new());
        for (prober, may_have) in probers {
            connections += prober.connections();
            let seen = prober.finish();
            let wrong: Vec<_> = seen.iter().filter(|options| !may_have.contains(options)).collect();
            let seed = points.seed();
            assert!(wrong.is_empty(), "{what}: {wrong:?} and not {may_have:?}, KEEPALIVE_CRASH_SEED={seed}");
            probed = format!(", {connections} connections probed, none without what a policy says");
        }
        assert_eq!(kernel_complaints(), complaints);
        let seconds = began.elapsed().as_secs_f64();
        let _ = writeln!(
            io::stdout(),
            "kill -9 loop, {what}: {amid} kills amid it and {at_rest} at rest in {seconds:.1} s{probed}"
        );
    }
}
