//! What the daemon may do: as little as possible, and what the documents say.

use std::collections::BTreeSet;

use crate::{objects::Objects, readme::capability_table, render::base_with};

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_container_has_root_in_name_only() {
    for (name, objects) in Objects::of_all() {
        let context = objects.container().security_context.as_ref().unwrap();

        let dropped = context.capabilities.as_ref().unwrap().drop.as_ref().unwrap();
        assert_eq!(dropped[..], ["ALL"], "{name}");
        assert_eq!(context.run_as_user, Some(0), "{name}: nobody else is given added capabilities");
        assert_eq!(context.privileged, Some(false), "{name}");
        assert_eq!(context.allow_privilege_escalation, Some(false), "{name}");
        assert_eq!(context.read_only_root_filesystem, Some(true), "{name}");
        assert_eq!(context.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault", "{name}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_pod_shares_the_process_ids_alone_with_the_host_and_gets_no_token() {
    for (name, objects) in Objects::of_all() {
        let pod = objects.pod();

        // What connections need that were open before their policy.
        let sweeps = name != "least-privilege";
        assert_eq!((pod.host_network, pod.host_pid), (Some(false), Some(sweeps)), "{name}");
        assert_eq!(pod.host_ipc, None, "{name}");
        assert_eq!(pod.service_account_name, objects.service_account.metadata.name, "{name}");
        assert_eq!(pod.automount_service_account_token, Some(false), "{name}");
        assert_eq!(objects.service_account.automount_service_account_token, Some(false), "{name}");
        assert_eq!(pod.enable_service_links, Some(false), "{name}: they could look like our variables");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_table_of_capabilities_is_that_of_the_manifests() {
    let memlock = base_with(&["memlock"]);
    let mut found = Objects::of_all();
    found.push(("memlock", Objects::from(&memlock[..])));

    for column in ["base", "least-privilege", "memlock"] {
        let (_, objects) = found.iter().find(|(name, _)| *name == column).unwrap();
        let added: BTreeSet<_> = objects.capabilities().into_iter().collect();
        assert_eq!(capability_table(column), added, "{column}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn no_overlay_adds_more_than_the_base() {
    for (name, objects) in Objects::of_all() {
        let added: BTreeSet<_> = objects.capabilities().into_iter().collect();

        assert!(added.is_subset(&capability_table("base")), "{name}: {added:?}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_component_seccomp_names_the_profile_that_is_shipped() {
    let documents = base_with(&["seccomp"]);

    let objects = Objects::from(&documents[..]);
    let profile = objects.container().security_context.as_ref().unwrap().seccomp_profile.as_ref().unwrap();
    assert_eq!(profile.type_, "Localhost");
    let file = crate::deploy().join("seccomp").join(profile.localhost_profile.as_ref().unwrap());
    assert!(file.is_file(), "{}", file.display());
}
