//! The pins in the hands of the one daemon that may change them, wherever they have to be.

use std::{mem, path::Path};

use anyhow::Result;

use super::{Lock, Pins};

/// The pins, held against every other daemon.
pub(crate) struct Held {
    pins: Pins,
    lock: Lock,
    /// Those of before, in bpffs to which no path leads any more: with them ends what is pinned there.
    former: Vec<Lock>,
    /// Whether what the daemon needs was pinned where the lock is.
    is_filled: bool,
}

impl Held {
    /// Takes hold of the pins under `bpffs`.
    ///
    /// # Errors
    /// If `bpffs` is none, or another daemon holds them; says which.
    pub(crate) fn take(bpffs: &Path) -> Result<Self> {
        let pins = Pins::new(bpffs)?;
        let lock = pins.lock()?;
        Ok(Self { pins, lock, former: Vec::new(), is_filled: true })
    }

    pub(in crate::kernel) const fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Checks that the pins are where they were.
    ///
    /// # Errors
    /// See [`Lock::check`].
    pub(in crate::kernel) fn check(&self) -> Result<()> {
        self.lock.check()
    }

    /// Follows the pins if somebody mounted another bpffs, or removed all that was pinned: has `fill` pin there what the
    /// daemon needs. With `is_whole`, everything was attached anew since.
    ///
    /// # Errors
    /// If there is no bpffs any more, another process holds the lock meanwhile, or nothing can be pinned.
    pub(in crate::kernel) fn follow(
        &mut self,
        is_whole: bool,
        fill: impl FnOnce(&Pins) -> Result<()>,
    ) -> Result<()> {
        if self.lock.holds() {
            // There is nothing left for which to keep what was pinned before.
            if is_whole {
                self.former.clear();
            }
        } else {
            // What was mounted over may be uncovered again.
            let next = match self.former.iter().position(Lock::holds) {
                Some(known) => self.former.swap_remove(known),
                None => self.pins.lock_anew(&self.lock)?,
            };
            self.former.push(mem::replace(&mut self.lock, next));
            self.is_filled = false;
        }
        if !self.is_filled {
            self.pins.create()?;
            fill(&self.pins)?;
            self.is_filled = true;
        }
        Ok(())
    }
}
