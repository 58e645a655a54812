//! What versions with another layout of the maps left.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tracing::{info, warn};

use super::{Cause, Governor};
use crate::kernel::Retired;

impl Governor {
    /// Removes what versions with another layout of the maps left attached, where this one governs or nobody
    /// should. What was refused to this one stays governed by the other, and so does what it `holds`.
    ///
    /// A layout that stays is looked at again only now and then, for this takes a walk over all cgroups.
    pub(super) fn retire_other_layouts(&mut self, cause: Cause, holds: impl Fn(u64, &str, &str) -> bool) {
        let is_time = matches!(cause, Cause::Start | Cause::Resync);
        if is_time {
            self.staying_layouts.retain(|layout, _| layout.exists());
        }
        let considers = |layout: &Path| is_time || !self.staying_layouts.contains_key(layout);
        let keep = |id, path: &str, policy_name: &str| {
            self.refused.contains_key(&id) || holds(id, path, policy_name)
        };
        match self.kernel.retire_other_layouts(considers, &self.root, keep) {
            Ok(retired) => {
                for (layout, retired) in retired {
                    self.tell_retired(layout, retired);
                }
            }
            Err(error) => warn!("cannot look for the pins of other versions: {error:#}"),
        }
    }

    /// Tells what became of a layout, once if it stays.
    fn tell_retired(&mut self, layout: PathBuf, retired: Result<Retired>) {
        match retired {
            Ok(Retired::Removed) => {
                self.staying_layouts.remove(&layout);
                info!(layout = %layout.display(), "removed the pins of another version, its work is taken over");
            }
            Ok(Retired::Kept(gone)) => {
                if self.is_news(&layout, String::new()) {
                    info!(
                        layout = %layout.display(),
                        cgroups = gone,
                        "detached what another version left; its maps stay while the kernel keeps something in them for \
                         cgroups that are gone: do not remove them by hand"
                    );
                }
            }
            Err(error) => {
                if self.is_news(&layout, format!("{error:#}")) {
                    warn!(layout = %layout.display(), "cannot remove the pins of another version: {error:#}");
                }
            }
        }
    }

    /// Books why a layout stays; whether it was not for the same before.
    fn is_news(&mut self, layout: &Path, why: String) -> bool {
        let before = self.staying_layouts.insert(layout.to_owned(), why);
        before.as_ref() != self.staying_layouts.get(layout)
    }
}
