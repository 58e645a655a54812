//! The settings of a containerd and of the network of its pods.

use std::{fs, path::Path};

use xtask::setup::PodTools;

use super::{Driver, image};

/// Makes the directories that containerd works in and writes its settings; `disabled` are plugins that it lacks.
pub(super) fn write(directory: &Path, tools: &PodTools, driver: Driver, disabled: &[&str]) {
    for part in ["run", "cni-cache", "cni", "scratch"] {
        fs::create_dir(directory.join(part)).unwrap();
    }
    // Places to mount the directories on; empty, and of no meaning to anyone, where containerd is not installed.
    for place in ["/run/containerd", "/var/lib/cni"] {
        fs::create_dir_all(place).unwrap();
    }
    fs::write(directory.join("config.toml"), settings(directory, tools, driver, disabled)).unwrap();
    fs::write(directory.join("cni/10-bridge.conflist"), network(directory)).unwrap();
}

/// As on a node, seccomp included, but for what this host's lack of rights or its own containerd demand.
fn settings(directory: &Path, tools: &PodTools, driver: Driver, disabled: &[&str]) -> String {
    let (directory, runc) = (directory.display(), tools.runc.display());
    let (cni_plugins, pause) = (tools.cni_plugins.display(), image::PAUSE);
    let is_systemd = driver == Driver::Systemd;
    // Those that are always disabled write to the host's /opt, /etc and /var/run.
    let disabled = [&["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"], disabled].concat();
    format!(
        r#"
version = 2
root = "{directory}/root"
state = "/run/containerd"
disabled_plugins = {disabled:?}

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE nobody lowers it.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
# It would load its profile into the host's kernel.
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_plugins}"
conf_dir = "{directory}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = {is_systemd}
"#
    )
}

/// A bridge in the network namespace of containerd; no firewall, because nothing leaves that namespace.
fn network(directory: &Path) -> String {
    let (network, subnet, gateway) = ("pods", "10.231.0.0/16", "10.231.0.1");
    serde_json::json!({
        "cniVersion": "0.4.0",
        "name": network,
        "plugins": [{
            "type": "bridge",
            "bridge": network,
            "isGateway": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": directory.join("addresses"),
                "ranges": [[{ "subnet": subnet, "gateway": gateway }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
    .to_string()
}
