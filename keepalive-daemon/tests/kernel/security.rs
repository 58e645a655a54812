//! What whoever is on the other side of a boundary cannot do; `deploy/README.md` names beside each claim the test that
//! shows it, here or elsewhere.

mod claims;
mod clients;
mod pod;

use self::{
    claims::each_claim_has_a_test_that_there_is,
    clients::a_member_of_the_group_changes_no_policy,
    pod::{
        a_cgroup_of_its_own_frees_a_process_of_nothing, a_user_of_the_host_reaches_no_pin,
        root_in_a_container_reaches_no_program_and_no_map, what_a_pod_does_in_its_cgroup_harms_no_other,
    },
};
use crate::{
    peer::Options,
    support::{Host, document, options},
};
use xtask::lab::Cgroup;

crate::tests!(
    a_cgroup_of_its_own_frees_a_process_of_nothing,
    a_member_of_the_group_changes_no_policy,
    a_user_of_the_host_reaches_no_pin,
    each_claim_has_a_test_that_there_is,
    root_in_a_container_reaches_no_program_and_no_map,
    what_a_pod_does_in_its_cgroup_harms_no_other,
);

const HELD: Options = options(true, 61, 13, 5, 0);
const LOOSER: Options = options(true, 7200, 75, 9, 0);

/// A host with a cgroup whose options a policy enforces.
fn enforced(label: &str) -> (Host, Cgroup) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    let spec = "keepalive: {idle: 61s, interval: 13s, probes: 5}, mode: Enforce";
    host.write_policies("p.yaml", &document("app", "app", spec));
    (host, app)
}
