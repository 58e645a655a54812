//! The silences of connections, as far as one who looks at them from time to time can tell: pure.
//!
//! Times are milliseconds of a clock of the caller's. A look takes a while, and what it is told it is told as an age, so
//! that of each moment an earliest and a latest one is known; all that is counted holds for whichever it was. So is what
//! happens unseen between two looks: it makes the counts smaller than the truth, never larger.

use std::collections::HashMap;

/// The most connections that are followed, 64 bytes or so each. What is beyond is counted and left alone.
const MOST: usize = 131_072;

/// The kernel's clock ticks a hundred times a second at the least, and what it tells is rounded down.
const TICK_MS: i64 = 20;

/// An acknowledgment that comes later than this after the last data is that of a probe: the smallest idle time is a
/// second, and who acknowledges data delays that by a fifth of one.
const PROBE_MS: i64 = 900;

/// Ages are told in milliseconds of 32 bits: one of 50 days begins again at none.
const WRAP_MS: i64 = 1 << 32;

/// By no more than this is a moment uncertain: no look takes as long.
const DOUBT_MS: i64 = 3_600_000;

/// A connection as the kernel tells of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Its name for as long as the kernel runs.
    pub(crate) cookie: u64,
    /// How long ago it sent data.
    pub(crate) sent_ms: u32,
    /// How long ago it received data.
    pub(crate) received_ms: u32,
    /// How long ago its peer acknowledged something, a probe included.
    pub(crate) acknowledged_ms: u32,
    /// Whether the timer of keep-alive runs.
    pub(crate) is_probed: bool,
}

/// When something was seen: at the earliest, and at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Moment {
    /// The same, so many milliseconds before.
    const fn before(self, age_ms: u32) -> Self {
        Self { from: self.from - age_ms as i64, to: self.to - age_ms as i64 }
    }

    /// Whether this may be no later moment than the one that is known, but the same, as its age began again.
    const fn is_again(self, known: i64) -> bool {
        (self.to - known - WRAP_MS).abs() <= DOUBT_MS
    }
}

/// What a look at a connection brought to light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gain {
    /// It is silent for longer than is waited for, and probes were answered all along.
    pub(crate) is_kept: bool,
    /// It was that, and carries data again.
    pub(crate) is_used: bool,
    /// The longest silence that it is known to have survived, in milliseconds.
    pub(crate) survived_ms: i64,
}

/// A connection in its present silence.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// When it sent data last, at the latest.
    sent: i64,
    /// When it received data last, at the latest.
    received: i64,
    /// For how long it was silent when it was last looked at.
    seen_ms: i64,
    /// From when on there were no pauses between its packets that are as long as is waited for.
    watched_over_since: i64,
    /// When its peer was last heard of, at the latest.
    heard: i64,
    is_kept: bool,
    /// The number of the look that it was last seen in.
    look: u64,
}

/// The connections, and what is known of each.
pub(crate) struct Tracker {
    /// How long a silence is before it counts.
    silent_ms: i64,
    silences: HashMap<u64, Silence>,
    /// The looks so far.
    looks: u64,
    /// Connections beyond the bound, in this look.
    left_out: usize,
}

impl Tracker {
    /// One that counts silences that are longer than this.
    pub(crate) fn new(silent_ms: u32) -> Self {
        Self { silent_ms: silent_ms.into(), silences: HashMap::new(), looks: 0, left_out: 0 }
    }

    /// Takes note of a connection that was seen.
    pub(crate) fn look(&mut self, seen: &Seen, now: Moment) -> Gain {
        let (sent, received) = (now.before(seen.sent_ms), now.before(seen.received_ms));
        let since = sent.to.max(received.to);
        let fresh = Silence {
            sent: sent.to,
            received: received.to,
            seen_ms: (now.from - since).max(0),
            watched_over_since: since,
            heard: since,
            is_kept: false,
            look: self.looks,
        };
        let is_full = self.silences.len() >= MOST;
        let Some(silence) = self.silences.get_mut(&seen.cookie) else {
            if is_full {
                self.left_out += 1;
                return Gain::default();
            }
            let silence = self.silences.entry(seen.cookie).or_insert(fresh);
            return silence.goes_on(seen, now, self.silent_ms);
        };
        silence.look = self.looks;
        if sent.is_again(silence.sent) || received.is_again(silence.received) {
            // Be it data or not: the silence begins anew, so that it is told no longer than it is, and was kept if it was,
            // so that it counts once.
            *silence = Silence { is_kept: silence.is_kept, ..fresh };
            return Gain::default();
        }
        let since = silence.since();
        if sent.from.max(received.from) <= since + TICK_MS {
            return silence.goes_on(seen, now, self.silent_ms);
        }
        // What is only sent may be lost: it counts when it is acknowledged, or answered, at a later look.
        let is_answered = received.from > since + TICK_MS;
        let is_acknowledged = seen.acknowledged_ms <= seen.sent_ms;
        if !is_answered && !is_acknowledged {
            return Gain::default();
        }
        let gain = Gain { is_kept: false, is_used: silence.is_kept, survived_ms: silence.seen_ms };
        *silence = fresh;
        gain
    }

    /// Ends a look: forgets the connections that were missed in two of them, as a list that is made while connections
    /// come and go may miss one once. Returns how many there was no room for.
    pub(crate) fn end(&mut self) -> usize {
        let before = self.looks.saturating_sub(1);
        self.silences.retain(|_, silence| silence.look >= before);
        self.looks += 1;
        std::mem::take(&mut self.left_out)
    }
}

impl Silence {
    /// When it carried data last, at the latest.
    fn since(&self) -> i64 {
        self.sent.max(self.received)
    }

    fn goes_on(&mut self, seen: &Seen, now: Moment, silent_ms: i64) -> Gain {
        let since = self.since();
        self.seen_ms = self.seen_ms.max(now.from - since);
        let heard = now.before(seen.acknowledged_ms);
        if !seen.is_probed || heard.from < since + PROBE_MS {
            return Gain::default();
        }
        if heard.from > self.heard + TICK_MS {
            if heard.to - self.heard >= silent_ms {
                // Who forgets after that had forgotten: what was not, was not for the probe.
                self.watched_over_since = heard.to;
            }
            self.heard = heard.to;
        }
        let is_kept = !self.is_kept && heard.from - self.watched_over_since >= silent_ms;
        self.is_kept |= is_kept;
        Gain { is_kept, is_used: false, survived_ms: heard.from - since }
    }
}

#[cfg(test)]
mod tests;
