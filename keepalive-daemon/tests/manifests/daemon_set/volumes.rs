//! What is mounted, and that the program looks for it there.

use std::path::Path;

use k8s_openapi::api::core::v1::{Volume, VolumeMount};

use crate::objects::Objects;

/// What is mounted at `path`.
fn mounted<'a>(objects: &'a Objects, path: &Path) -> (&'a VolumeMount, &'a Volume) {
    let mounts = objects.container().volume_mounts.as_ref().unwrap();
    let mount = mounts.iter().find(|mount| Path::new(&mount.mount_path) == path);
    let mount = mount.unwrap_or_else(|| panic!("nothing is mounted at {}", path.display()));
    let volumes = objects.pod().volumes.as_ref().unwrap();
    (mount, volumes.iter().find(|volume| volume.name == mount.name).unwrap())
}

/// The directory of the host that is mounted at `path`.
fn host_directory<'a>(objects: &'a Objects, path: &Path) -> (&'a VolumeMount, &'a str) {
    let (mount, volume) = mounted(objects, path);
    let host = volume.host_path.as_ref().unwrap_or_else(|| panic!("{} is not of the host", path.display()));
    assert_eq!(host.type_.as_deref(), Some("Directory"), "nothing is made on the host: {}", host.path);
    (mount, &host.path)
}

fn follows_the_host(mount: &VolumeMount) -> bool {
    mount.mount_propagation.as_deref() == Some("HostToContainer") && mount.read_only == Some(true)
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_cgroup_root_is_all_of_the_hosts_hierarchy_read_only() {
    for (name, objects) in Objects::of_all() {
        let (mount, host) = host_directory(&objects, &objects.call().path("cgroup-root"));

        assert_eq!(host, "/sys/fs/cgroup", "{name}");
        assert!(follows_the_host(mount), "{name}: a hybrid host has cgroup2 mounted below");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_bpffs_is_the_hosts_and_can_be_written_to() {
    for (name, objects) in Objects::of_all() {
        let path = objects.call().path("bpffs");
        let (mount, host) = host_directory(&objects, &path);

        assert_eq!(host, "/sys/fs/bpf", "{name}");
        assert_ne!(mount.read_only, Some(true), "{name}");
        assert!(!path.starts_with("/sys"), "{name}: AppArmor's profile for containers refuses writing there");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_runtimes_socket_comes_with_its_directory() {
    for (name, objects) in Objects::of_all() {
        let socket = objects.call().path("cri-socket");
        if name == "cleanup" {
            assert_eq!(socket, Path::new("none"), "no runtime has to be there");
            continue;
        }
        let directory = socket.parent().unwrap();
        let (mount, host) = host_directory(&objects, directory);

        assert_eq!(Path::new(host), directory, "{name}");
        assert!(follows_the_host(mount), "{name}: a removed container must not stay busy");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_policy_directory_is_the_config_map() {
    for (name, objects) in Objects::of_all() {
        let (mount, volume) = mounted(&objects, &objects.call().path("policies"));

        assert_eq!(mount.sub_path, None, "{name}: it would not follow changes");
        if name == "cleanup" {
            assert!(volume.empty_dir.is_some() && volume.config_map.is_none(), "whatever the ConfigMap has");
        } else {
            let config_map = volume.config_map.as_ref().unwrap();
            assert_eq!(Some(&config_map.name), objects.policies.metadata.name.as_ref(), "{name}");
        }
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_control_socket_lies_where_the_container_can_write() {
    for (name, objects) in Objects::of_all() {
        let (_, volume) = mounted(&objects, objects.call().path("api-socket").parent().unwrap());

        assert!(volume.empty_dir.is_some(), "{name}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn nothing_else_is_mounted() {
    for (name, objects) in Objects::of_all() {
        let mut mounts: Vec<_> =
            objects.container().volume_mounts.iter().flatten().map(|m| &m.name).collect();
        let mut volumes: Vec<_> = objects.pod().volumes.iter().flatten().map(|volume| &volume.name).collect();
        mounts.sort();
        volumes.sort();

        assert_eq!(mounts, ["bpffs", "cgroup", "policies", "run", "runtime"], "{name}");
        assert_eq!(volumes, mounts, "{name}");
    }
}
