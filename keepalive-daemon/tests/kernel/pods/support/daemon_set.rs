//! The DaemonSet as an overlay renders it, turned into what a kubelet passes to the runtime.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Container, HTTPGetAction, Volume, VolumeMount},
};
use keepalive_daemon::cri::{
    Capability, ContainerConfig, ContainerMetadata, ImageSpec, Int64Value, KeyValue, LinuxContainerConfig,
    LinuxContainerSecurityContext, Mount, MountPropagation,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Node, PodSpec,
    pod::{localhost, runtime_default},
};

/// What is deployed.
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// The one container of the DaemonSet of an overlay, its volumes, and whether it sees the node's processes.
pub(crate) struct DaemonSetPod {
    container: Container,
    volumes: Vec<Volume>,
    host_pid: bool,
}

impl DaemonSetPod {
    /// Renders an overlay as `kubectl apply -k` does.
    pub(crate) fn of_overlay(name: &str) -> Self {
        Self::of(&Path::new(DEPLOY).join("kubernetes/overlays").join(name))
    }

    /// As [`Self::of_overlay`], with a component.
    pub(crate) fn of_overlay_with(name: &str, component: &str) -> Self {
        let directory = TempDir::new().unwrap();
        std::os::unix::fs::symlink(DEPLOY, directory.path().join("deploy")).unwrap();
        fs::create_dir(directory.path().join("cluster")).unwrap();
        let text = format!(
            "resources: [../deploy/kubernetes/overlays/{name}]\ncomponents: [../deploy/kubernetes/components/{component}]\n"
        );
        fs::write(directory.path().join("cluster/kustomization.yaml"), text).unwrap();
        Self::of(&directory.path().join("cluster"))
    }

    fn of(kustomization: &Path) -> Self {
        let kubectl = super::containerd::tools().kubectl;
        let output = Command::new(kubectl).arg("kustomize").arg(kustomization).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let documents: Vec<Value> = serde_saphyr::from_slice_multiple(&output.stdout).unwrap();
        let found = documents.into_iter().find(|document| document["kind"] == "DaemonSet").unwrap();
        let daemon_set: DaemonSet = serde_json::from_value(found).unwrap();
        let mut pod = daemon_set.spec.unwrap().template.spec.unwrap();
        let host_pid = pod.host_pid.unwrap();
        Self { container: pod.containers.remove(0), volumes: pod.volumes.unwrap(), host_pid }
    }

    /// What the readiness probe asks for: the port and the path.
    pub(crate) fn readiness(&self) -> (u16, String) {
        let probe = self.container.readiness_probe.clone().unwrap();
        let HTTPGetAction { path, .. } = probe.http_get.unwrap();
        let port = self.container.ports.as_ref().unwrap()[0].container_port;
        (port.try_into().unwrap(), path.unwrap())
    }

    /// Its pod.
    pub(crate) fn spec(&self) -> PodSpec {
        PodSpec::new("keepalive-system", "keepalive-daemon-x1").host_pid(self.host_pid)
    }

    /// The container of `pod` as the kubelet asks for it, on this node: a test has a bpffs of its own.
    pub(crate) fn config(&self, pod: &PodSpec, node: &Node, image: &str) -> ContainerConfig {
        let context = self.container.security_context.clone().unwrap();
        let profile = context.seccomp_profile.unwrap();
        let seccomp = match (profile.type_.as_str(), profile.localhost_profile) {
            ("RuntimeDefault", None) => runtime_default(),
            // On a node it is below /var/lib/kubelet/seccomp.
            ("Localhost", Some(file)) => localhost(&Path::new(DEPLOY).join("seccomp").join(file)),
            other => panic!("{other:?}"),
        };
        let capabilities = context.capabilities.unwrap();
        let envs = self.container.env.iter().flatten();
        let envs = envs.map(|it| KeyValue { key: it.name.clone(), value: it.value.clone().unwrap() });
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: self.container.name.clone(), attempt: 0 }),
            image: Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() }),
            args: self.container.args.clone().unwrap(),
            envs: envs.collect(),
            mounts: self.mounts(node),
            log_path: "daemon.log".to_owned(),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(pod.namespaces()),
                    capabilities: Some(Capability {
                        add_capabilities: capabilities.add.unwrap(),
                        drop_capabilities: capabilities.drop.unwrap(),
                        ..Capability::default()
                    }),
                    readonly_rootfs: context.read_only_root_filesystem.unwrap(),
                    no_new_privs: !context.allow_privilege_escalation.unwrap(),
                    run_as_user: context.run_as_user.map(|value| Int64Value { value }),
                    run_as_group: context.run_as_group.map(|value| Int64Value { value }),
                    seccomp: Some(seccomp),
                    ..LinuxContainerSecurityContext::default()
                }),
                ..LinuxContainerConfig::default()
            }),
            ..ContainerConfig::default()
        }
    }

    fn mounts(&self, node: &Node) -> Vec<Mount> {
        let volumes: BTreeMap<&str, &Volume> =
            self.volumes.iter().map(|volume| (volume.name.as_str(), volume)).collect();
        let mounts = self.container.volume_mounts.iter().flatten();
        let mounts = mounts.map(|it: &VolumeMount| Mount {
            container_path: it.mount_path.clone(),
            host_path: host_path(volumes[it.name.as_str()], node).display().to_string(),
            readonly: it.read_only == Some(true),
            propagation: match it.mount_propagation.as_deref() {
                Some("HostToContainer") => MountPropagation::PropagationHostToContainer.into(),
                None => MountPropagation::PropagationPrivate.into(),
                Some(other) => panic!("{other} is more than the daemon needs"),
            },
            ..Mount::default()
        });
        mounts.collect()
    }
}

fn host_path(volume: &Volume, node: &Node) -> PathBuf {
    if let Some(host_path) = &volume.host_path {
        return match host_path.path.as_str() {
            "/sys/fs/bpf" => node.host.bpffs.path().to_owned(),
            path => path.into(),
        };
    }
    if volume.config_map.is_some() {
        return node.host.policies();
    }
    assert!(volume.empty_dir.is_some(), "{volume:?}");
    let directory = node.containerd.directory().join(&volume.name);
    fs::create_dir_all(&directory).unwrap();
    directory
}
