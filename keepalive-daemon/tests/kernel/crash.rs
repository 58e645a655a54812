//! The daemon is killed at any step of what it does, again and again, and the next one makes whole what it left:
//! exactly what the policies say is in the kernel, once, and nothing else. Meanwhile whoever connects in a cgroup that
//! had a policy gets one, whole.
//!
//! `KEEPALIVE_CRASH_ROUNDS` says at how many points each phase is killed; as many as it has steps, and it is each of
//! them. `KEEPALIVE_CRASH_SEED` repeats a run.

mod attaching;
mod changing;
mod points;
mod report;
mod site;
mod sweeping;
mod upgrading;

use self::{
    attaching::killed_at_any_step_of_attaching_and_of_cleanup,
    changing::{killed_at_any_step_of_a_reload, killed_at_any_step_of_a_start_with_other_policies},
    sweeping::killed_at_any_step_of_a_sweep,
    upgrading::killed_at_any_step_of_an_upgrade_and_of_a_downgrade,
};

crate::tests!(
    killed_at_any_step_of_a_reload,
    killed_at_any_step_of_a_start_with_other_policies,
    killed_at_any_step_of_a_sweep,
    killed_at_any_step_of_an_upgrade_and_of_a_downgrade,
    killed_at_any_step_of_attaching_and_of_cleanup,
);
