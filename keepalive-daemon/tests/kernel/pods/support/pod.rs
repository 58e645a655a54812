//! Pods as a kubelet describes them to the runtime.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use keepalive_daemon::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, LinuxContainerConfig, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, SecurityProfile, security_profile::ProfileType,
};

/// What the cgroups of the kubelet's driver look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    Cgroupfs,
    Systemd,
}

/// The quality of service, which decides where the kubelet puts a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

/// A pod to be made.
#[derive(Clone, Debug)]
pub(crate) struct PodSpec {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) qos: Qos,
    pub(crate) host_network: bool,
    pub(crate) host_pid: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl PodSpec {
    /// A burstable pod with a network of its own and a uid that no other has.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id()),
            qos: Qos::Burstable,
            host_network: false,
            host_pid: false,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn qos(self, qos: Qos) -> Self {
        Self { qos, ..self }
    }

    pub(crate) fn host_network(self) -> Self {
        Self { host_network: true, ..self }
    }

    pub(crate) fn host_pid(self, host_pid: bool) -> Self {
        Self { host_pid, ..self }
    }

    /// A static pod has a hash for its uid, without dashes.
    pub(crate) fn of_static_pod(self) -> Self {
        Self { uid: self.uid.replace('-', ""), ..self }
    }

    /// `namespace/name`
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The path of its cgroup below the one that stands for the kubelet's top, which is made of `driver`'s names.
    pub(crate) fn cgroup_path(&self, driver: Driver, top: &str) -> String {
        let uid = &self.uid;
        let of_qos = match self.qos {
            Qos::Guaranteed => "",
            Qos::Burstable => "burstable",
            Qos::BestEffort => "besteffort",
        };
        match (driver, of_qos) {
            (Driver::Cgroupfs, "") => format!("{top}/pod{uid}"),
            (Driver::Cgroupfs, qos) => format!("{top}/{qos}/pod{uid}"),
            (Driver::Systemd, "") => {
                format!("{top}.slice/{top}-pod{}.slice", uid.replace('-', "_"))
            }
            (Driver::Systemd, qos) => {
                format!("{top}.slice/{top}-{qos}.slice/{top}-{qos}-pod{}.slice", uid.replace('-', "_"))
            }
        }
    }

    /// What the kubelet passes to `RunPodSandbox`.
    pub(crate) fn sandbox_config(&self, driver: Driver, top: &str) -> PodSandboxConfig {
        let path = self.cgroup_path(driver, top);
        let cgroup_parent = match driver {
            Driver::Cgroupfs => format!("/{path}"),
            Driver::Systemd => path.rsplit('/').next().unwrap().to_owned(),
        };
        let mut labels: HashMap<String, String> = self.labels.clone().into_iter().collect();
        labels.insert("io.kubernetes.pod.namespace".to_owned(), self.namespace.clone());
        labels.insert("io.kubernetes.pod.name".to_owned(), self.name.clone());
        labels.insert("io.kubernetes.pod.uid".to_owned(), self.uid.clone());
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.name.clone(),
                uid: self.uid.clone(),
                namespace: self.namespace.clone(),
                attempt: 0,
            }),
            hostname: if self.host_network { String::new() } else { self.name.clone() },
            labels,
            annotations: self.annotations.clone().into_iter().collect(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent,
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(self.namespaces()),
                    seccomp: Some(runtime_default()),
                    ..LinuxSandboxSecurityContext::default()
                }),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        }
    }

    pub(crate) fn namespaces(&self) -> NamespaceOption {
        let network = if self.host_network { NamespaceMode::Node } else { NamespaceMode::Pod };
        let pid = if self.host_pid { NamespaceMode::Node } else { NamespaceMode::Container };
        NamespaceOption {
            network: network.into(),
            pid: pid.into(),
            ipc: NamespaceMode::Pod.into(),
            ..NamespaceOption::default()
        }
    }
}

/// A container of `spec`, with the host's userland and one directory it may write in, all under their own paths.
pub(crate) fn container_config(
    spec: &PodSpec,
    image: &str,
    command: &[&str],
    userland: &[PathBuf],
    shared: &Path,
) -> ContainerConfig {
    let mount = |path: &Path, readonly| Mount {
        container_path: path.display().to_string(),
        host_path: path.display().to_string(),
        readonly,
        ..Mount::default()
    };
    let mounts = userland.iter().map(|path| mount(path, true)).chain([mount(shared, false)]);
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "main".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() }),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        mounts: mounts.collect(),
        linux: Some(LinuxContainerConfig {
            security_context: Some(LinuxContainerSecurityContext {
                namespace_options: Some(spec.namespaces()),
                seccomp: Some(runtime_default()),
                ..LinuxContainerSecurityContext::default()
            }),
            ..LinuxContainerConfig::default()
        }),
        ..ContainerConfig::default()
    }
}

/// As pods are run by default on a hardened cluster.
pub(crate) fn runtime_default() -> SecurityProfile {
    SecurityProfile { profile_type: ProfileType::RuntimeDefault.into(), localhost_ref: String::new() }
}

/// A profile in a file of the node.
pub(crate) fn localhost(file: &Path) -> SecurityProfile {
    let file = std::fs::canonicalize(file).unwrap();
    SecurityProfile { profile_type: ProfileType::Localhost.into(), localhost_ref: file.display().to_string() }
}
