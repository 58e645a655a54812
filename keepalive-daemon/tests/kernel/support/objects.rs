//! The kernel's eBPF objects, as `bpftool` lists them.

use std::{collections::BTreeMap, path::Path, process::Command};

use aya_obj::generated::bpf_attach_type::BPF_CGROUP_SOCK_OPS;
use serde_json::Value;
use xtask::lab::{Cgroup, bpf};

use super::bpftool::{bpftool, list};

/// A link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) program: u64,
}

/// The links to a cgroup, in the order of their ids.
pub(crate) fn links(cgroup: &Cgroup) -> Vec<Link> {
    links_at(cgroup, "cgroup")
}

/// The links to a cgroup at what bpftool's names of attach types contain this word for.
pub(crate) fn links_at(cgroup: &Cgroup, hook: &str) -> Vec<Link> {
    let of_cgroup = |link: &&Value| {
        link["cgroup_id"] == cgroup.id() && link["attach_type"].as_str().is_some_and(|at| at.contains(hook))
    };
    let mut links: Vec<Link> = list("link")
        .iter()
        .filter(of_cgroup)
        .map(|link| Link { id: number(&link["id"]), program: number(&link["prog_id"]) })
        .collect();
    links.sort();
    links
}

/// The ids of the `sock_ops` programs attached to a cgroup itself.
pub(crate) fn attached(cgroup: &Cgroup) -> Vec<u64> {
    bpf::attached(cgroup, BPF_CGROUP_SOCK_OPS).unwrap().into_iter().map(u64::from).collect()
}

/// A pinned program: its id and those of its maps.
pub(crate) fn pinned_program(path: &Path) -> (u64, Vec<u64>) {
    let program = bpftool(["prog", "show", "pinned", path.to_str().unwrap()]);
    (number(&program["id"]), program["map_ids"].as_array().unwrap().iter().map(number).collect())
}

/// The programs that use a map.
pub(crate) fn programs_of(map: u64) -> Vec<u64> {
    let uses = |program: &&Value| program["map_ids"].as_array().is_some_and(|ids| ids.contains(&map.into()));
    list("prog").iter().filter(uses).map(|program| number(&program["id"])).collect()
}

/// Whether an object of this kind (`prog`, `map`, `link`) and id is in the kernel.
pub(crate) fn exists(kind: &str, id: u64) -> bool {
    Command::new("bpftool").args([kind, "show", "id", &id.to_string()]).output().unwrap().status.success()
}

/// The name of a map.
pub(crate) fn map_name(id: u64) -> String {
    bpftool(["map", "show", "id", &id.to_string()])["name"].as_str().unwrap().to_owned()
}

/// The bytes that a pinned cgroup storage holds for a cgroup.
pub(crate) fn storage(map: &Path, cgroup: &Cgroup) -> Vec<u8> {
    let value = bpftool([words("lookup", map), key(cgroup)].concat());
    let bytes = value["value"].as_array().unwrap().iter();
    bytes.map(|byte| u8::from_str_radix(&byte.as_str().unwrap()[2..], 16).unwrap()).collect()
}

/// How many cgroups a pinned cgroup storage holds something for.
pub(crate) fn entries(map: &Path) -> usize {
    dump(map).len()
}

/// All that a pinned cgroup storage holds which is not zero, by its key.
pub(crate) fn written(map: &Path) -> BTreeMap<String, String> {
    let is_zero = |value: &Value| value.as_array().unwrap().iter().all(|byte| byte == "0x00");
    let written = dump(map).into_iter().filter(|entry| !is_zero(&entry["value"]));
    written.map(|entry| (entry["key"].to_string(), entry["value"].to_string())).collect()
}

/// The entries of a pinned cgroup storage. Old kernels tell one more than there are, where the list of them begins, and
/// know nothing of it when they are asked for its value.
fn dump(map: &Path) -> Vec<Value> {
    let Value::Array(entries) = bpftool(words("dump", map)) else { panic!("no list") };
    entries.into_iter().filter(|entry| entry["value"].is_array()).collect()
}

/// Writes bytes where a pinned cgroup storage holds those of a cgroup.
pub(crate) fn write_storage(map: &Path, cgroup: &Cgroup, bytes: &[u8]) {
    let value = [vec!["value".to_owned(), "hex".to_owned()], hex(bytes)].concat();
    bpftool([words("update", map), key(cgroup), value].concat());
}

/// Detaches a link by force, as an administrator might.
pub(crate) fn detach_link(id: u64) {
    bpftool(["link", "detach", "id", &id.to_string()]);
}

fn words(verb: &str, map: &Path) -> Vec<String> {
    ["map", verb, "pinned", map.to_str().unwrap()].map(str::to_owned).into()
}

/// The key of cgroup storage: the cgroup's id, the attach type of `sock_ops`, and padding.
fn key(cgroup: &Cgroup) -> Vec<String> {
    const SOCK_OPS: u32 = 3;
    let key = [&cgroup.id().to_ne_bytes()[..], &SOCK_OPS.to_ne_bytes(), &[0; 4]].concat();
    [vec!["key".to_owned(), "hex".to_owned()], hex(&key)].concat()
}

fn hex(bytes: &[u8]) -> Vec<String> {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}
