#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;

use super::*;
use crate::cri::{LinuxPodSandboxStatus, Namespace, NamespaceOption, PodSandboxMetadata, PodSandboxStatus};

fn sandbox() -> PodSandbox {
    PodSandbox {
        id: "4f2a".to_owned(),
        metadata: Some(PodSandboxMetadata {
            name: "web-0".to_owned(),
            uid: "0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60".to_owned(),
            namespace: "shop".to_owned(),
            attempt: 0,
        }),
        labels: HashMap::from([("app".to_owned(), "web".to_owned())]),
        annotations: ["keepalive.dev/idle", "example.org/idle"]
            .map(|key| (key.to_owned(), "30s".to_owned()))
            .into(),
        ..PodSandbox::default()
    }
}

fn status(info: &str, network: NamespaceMode) -> PodSandboxStatusResponse {
    let options = NamespaceOption { network: network.into(), ..NamespaceOption::default() };
    let linux = LinuxPodSandboxStatus { namespaces: Some(Namespace { options: Some(options) }) };
    PodSandboxStatusResponse {
        status: Some(PodSandboxStatus { linux: Some(linux), ..PodSandboxStatus::default() }),
        info: HashMap::from([("info".to_owned(), info.to_owned())]),
        ..PodSandboxStatusResponse::default()
    }
}

fn pod(info: &str) -> Pod {
    read(&sandbox(), Ok(&status(info, NamespaceMode::Pod)))
}

fn reason(info: &str) -> String {
    match pod(info).place {
        Place::Unreachable(reason) => reason,
        place => panic!("{place:?}"),
    }
}

/// In the form of containerd 1.6 with the cgroupfs driver; written by hand.
const CONTAINERD_1_6: &str = r#"{"pid":2711,"processStatus":"running","netNamespaceClosed":false,
"image":"registry.test/pause:1","snapshotKey":"4f2a","snapshotter":"overlayfs","runtimeHandler":"",
"runtimeType":"io.containerd.runc.v2","runtimeOptions":{"binary_name":"/usr/sbin/runc"},
"config":{"metadata":{"name":"web-0","uid":"0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60","namespace":"shop"},
"linux":{"cgroup_parent":"/kubepods/burstable/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60","security_context":{
"namespace_options":{"pid":1}}}},
"runtimeSpec":{"ociVersion":"1.0.2-dev","linux":{
"cgroupsPath":"/kubepods/burstable/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60/4f2a",
"namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"mount"},{"type":"network","path":"/run/netns/cni-1"}]}},
"cniResult":{"Interfaces":{"eth0":{"Sandbox":"/run/netns/cni-1"}}}}"#;

/// In the form of containerd 2.1 with the systemd driver; written by hand.
const CONTAINERD_2: &str = r#"{"pid":2711,"processStatus":"running","netNamespaceClosed":false,
"runtimeType":"io.containerd.runc.v2","runtimeOptions":{"systemd_cgroup":true},
"config":{"linux":{"cgroup_parent":"kubepods-burstable-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice"}},
"runtimeSpec":{"linux":{"cgroupsPath":
"kubepods-burstable-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice:cri-containerd:4f2a",
"namespaces":[{"type":"network","path":"/var/run/netns/cni-2"}]}},"cniResult":null,
"sandboxMetadata":{"ID":"4f2a","NetNSPath":"/var/run/netns/cni-2","IP":"10.0.0.2"}}"#;

/// As CRI-O 1.24 and later write it for a pod without a first container of its own (from its source).
const CRIO: &str = r#"{"runtimeSpec":{"ociVersion":"1.0.2-dev","annotations":{
"io.kubernetes.cri-o.CgroupParent":"kubepods-podab.slice","io.kubernetes.cri-o.Spoofed":"true",
"io.kubernetes.cri-o.RuntimeHandler":""},
"linux":{"cgroupsPath":"kubepods-podab.slice:crio:4f2a","namespaces":[
{"type":"network","path":"/var/run/netns/3"}]}}}"#;

#[test]
fn each_runtime_tells_the_cgroup_and_the_network_namespace_in_its_own_way() {
    let containerd = "kubepods/burstable/pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60";
    let containerd_systemd = "kubepods.slice/kubepods-burstable.slice/\
                              kubepods-burstable-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice";
    for (info, cgroup, network) in [
        (CONTAINERD_1_6, containerd, "/run/netns/cni-1"),
        (CONTAINERD_2, containerd_systemd, "/var/run/netns/cni-2"),
        (CRIO, "kubepods.slice/kubepods-podab.slice", "/var/run/netns/3"),
    ] {
        let pod = pod(info);
        assert_eq!(pod.place, Place::Cgroup(cgroup.to_owned()));
        assert_eq!(pod.network, Some(network.into()));
    }
}

#[test]
fn what_policies_look_at_comes_from_the_list() {
    let pod = pod(CONTAINERD_2);
    assert_eq!(pod.sandbox, "4f2a");
    assert_eq!(pod.facts.to_string(), "shop/web-0");
    assert_eq!(pod.facts.uid, "0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60");
    assert_eq!(pod.facts.labels["app"], "web");
    assert_eq!(pod.facts.annotations, [("keepalive.dev/idle".to_owned(), "30s".to_owned())].into());
}

#[test]
fn a_pod_in_the_nodes_network_has_none_of_its_own() {
    let with_path = read(&sandbox(), Ok(&status(CONTAINERD_2, NamespaceMode::Node)));
    let without = CONTAINERD_1_6.replace(r#",{"type":"network","path":"/run/netns/cni-1"}"#, "");
    let without = read(&sandbox(), Ok(&status(&without, NamespaceMode::Node)));
    assert_eq!((with_path.network, without.network), (None, None));
    assert!(matches!(without.place, Place::Cgroup(_)));
}

#[test]
fn where_there_is_no_parent_the_first_container_tells_the_cgroup() {
    let info = r#"{"runtimeSpec":{"linux":{"cgroupsPath":"/kubepods/podab/crio-4f2a"}}}"#;
    assert_eq!(pod(info).place, Place::Cgroup("kubepods/podab".to_owned()));
}

#[test]
fn cri_o_s_parent_begins_at_the_root_with_or_without_a_slash() {
    for parent in ["/kubepods/podab", "kubepods/podab"] {
        let info = CRIO.replace("kubepods-podab.slice:crio:4f2a", &format!("{parent}/crio-4f2a"));
        assert_eq!(pod(&info).place, Place::Cgroup("kubepods/podab".to_owned()));
    }
}

#[test]
fn an_annotation_of_the_pod_does_not_tell_where_it_is() {
    // CRI-O writes those of the pod over its own.
    let info = CRIO.replace(r#"CgroupParent":"kubepods-podab.slice""#, r#"CgroupParent":"/system.slice""#);
    assert_ne!(info, CRIO);
    assert_eq!(pod(&info).place, pod(CRIO).place);
}

#[test]
fn a_pod_with_a_network_stack_of_its_own_is_unreachable_wherever_it_is() {
    for (from, to) in [
        ("io.containerd.runc.v2", "io.containerd.kata.v2"),
        ("io.containerd.runc.v2", "io.containerd.runsc.v1"),
        (r#""systemd_cgroup":true"#, r#""binary_name":"/usr/local/bin/runsc""#),
        (r#""systemd_cgroup":true"#, r#""BinaryName":"/usr/local/bin/runsc""#),
    ] {
        let reason = reason(&CONTAINERD_2.replace(from, to));
        assert!(reason.contains("own"), "{reason}");
    }
    let noted = CRIO.replace(r#"RuntimeHandler":"""#, r#"RuntimeHandler":"kata-qemu""#);
    assert!(reason(&noted).contains("kata-qemu"));
    let listed = PodSandbox { runtime_handler: "kata".to_owned(), ..sandbox() };
    let listed = read(&listed, Ok(&status(CRIO, NamespaceMode::Pod)));
    assert!(matches!(listed.place, Place::Unreachable(_)));
}

#[test]
fn an_answer_that_tells_nothing_of_use_makes_the_pod_unreachable() {
    // As CRI-O before 1.24, cri-dockerd, and somebody with bad intentions.
    assert!(reason("{}").contains("does not tell"));
    assert!(reason("[]").contains("does not tell"));
    assert!(reason(r#"{"config":{"linux":{}},"runtimeSpec":{"linux":{}}}"#).contains("no cgroup of its own"));
    assert!(reason("").contains("no JSON"));
    assert!(reason(&"[".repeat(100_000)).contains("no JSON"));
    assert!(
        reason(r#"{"config":{"linux":{"cgroup_parent":7}},"runtimeSpec":[]}"#)
            .contains("no cgroup of its own")
    );
    assert!(reason(r#"{"config":{"linux":{"cgroup_parent":"/a/../b"}}}"#).contains("cannot be"));
    assert!(reason(r#"{"config":{"linux":{"cgroup_parent":"/a\u0000b"}}}"#).contains("cannot be"));
    let silent = PodSandboxStatusResponse::default();
    let silent = read(&sandbox(), Ok(&silent));
    assert!(matches!(silent.place, Place::Unreachable(reason) if reason.contains("does not tell")));
}

#[test]
fn a_network_namespace_that_is_no_path_is_none() {
    for path in ["", "netns", "/run/\\u0000x"] {
        let pod = pod(&CONTAINERD_2.replacen("/var/run/netns/cni-2", path, 1));
        assert_eq!(pod.network, None, "{path}");
    }
}

#[test]
fn a_pod_whose_status_is_not_told_is_known_by_the_list() {
    let pod = read(&sandbox(), Err("busy".to_owned()));
    assert_eq!(pod.facts.to_string(), "shop/web-0");
    assert_eq!((pod.place, pod.network), (Place::Untold("busy".to_owned()), None));
}

#[test]
fn a_sandbox_of_a_pod_without_a_name_is_unreachable() {
    let nameless = PodSandbox { metadata: None, ..sandbox() };
    let pod = read(&nameless, Ok(&status(CONTAINERD_1_6, NamespaceMode::Pod)));
    assert!(matches!(pod.place, Place::Unreachable(reason) if reason.contains("sandbox 4f2a")));
}
