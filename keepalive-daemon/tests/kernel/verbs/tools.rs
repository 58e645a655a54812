//! What whoever debugs a node at night sees without us: `bpftool`, `ls`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Host, armed_counter, bpftool, document, options};

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}, userTimeout: 99s";

fn dump(map: &Path) -> Value {
    bpftool(["map".as_ref(), "dump".as_ref(), "pinned".as_ref(), map.as_os_str()])[0]["formatted"].clone()
}

pub(super) fn bpftool_prints_names_and_fields() {
    let host = Host::new("bpftool");
    let cgroup = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let _daemon = host.start();
    let mut peer = host.peer(&cgroup);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 99_000));
    let pins = host.bpffs.path().join("keepalive/abi2");

    let program =
        bpftool(["prog".as_ref(), "show".as_ref(), "pinned".as_ref(), pins.join("program").as_os_str()]);
    // Of what is attached to the cgroup itself it asks for more than kernels before 6.0 have, and prints nothing there.
    let attached =
        bpftool(["cgroup".as_ref(), "show".as_ref(), cgroup.path().as_os_str(), "effective".as_ref()]);
    let attached = attached.as_array().unwrap().iter().find(|attached| attached["id"] == program["id"]);
    let policy = dump(&pins.join("maps/POLICY"));
    let counters = dump(&pins.join("maps/COUNTERS"));

    assert_eq!((&program["name"], &program["type"]), (&json!("keepalive"), &json!("sock_ops")));
    assert_eq!(attached.unwrap()["name"], "keepalive");
    assert_eq!(policy["key"]["cgroup_inode_id"], cgroup.id());
    let value = &policy["value"];
    let timers = json!({"idle_s": 61, "interval_s": 13, "probes": 5, "user_timeout_ms": 99_000});
    assert_eq!((&value["mode"], &value["direction"]), (&json!("Tighten"), &json!("Both")));
    assert_eq!((&value["timers"], &value["claims"]), (&timers, &json!(0)));
    assert_eq!((&value["cgroup"], &value["destinations"]), (&json!(cgroup.id()), &json!(0)));
    assert_eq!(value["options"]["which"], 0);
    let total = |field: &str| -> u64 {
        let cpus = counters["values"].as_array().unwrap();
        cpus.iter().map(|cpu| cpu["value"][field].as_u64().unwrap()).sum()
    };
    assert_eq!((total("outbound"), total("inbound"), total(armed_counter())), (1, 1, 2));
    let names: Vec<Value> = ["POLICY", "COUNTERS", "CLAIMS", "DESTINATIONS"]
        .map(|map| {
            let path = pins.join("maps").join(map);
            bpftool(["map".as_ref(), "show".as_ref(), "pinned".as_ref(), path.as_os_str()])["name"].clone()
        })
        .into();
    assert_eq!(names, ["POLICY", "COUNTERS", "CLAIMS", "DESTINATIONS"]);
}

pub(super) fn the_pins_read_like_a_report() {
    let host = Host::new("pins");
    let cgroup = host.cgroup("system.slice/web.service");
    host.write_policies("p.yaml", &document("web", "system.slice/*", KEEPALIVE));
    let daemon = host.start();
    let pins = host.bpffs.path().join("keepalive");
    let of_cgroup = pins.join(format!("abi2/cgroups/system_slice:web_service-{}", cgroup.id()));

    let link =
        bpftool(["link".as_ref(), "show".as_ref(), "pinned".as_ref(), of_cgroup.join("link").as_os_str()]);

    let read = |path: &Path| fs::read_link(path).unwrap().to_str().unwrap().to_owned();
    assert_eq!(read(&of_cgroup.join("cgroup")), "system.slice/web.service");
    assert_eq!(read(&of_cgroup.join("policy")), "web");
    assert!(read(&pins.join("holder")).starts_with(&format!("pid {} on ", daemon.pid())));
    assert_eq!(link["cgroup_id"], cgroup.id());
    assert_eq!(link["attach_type"], "cgroup_sock_ops");
}
