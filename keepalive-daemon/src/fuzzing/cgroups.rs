//! Where a pod's cgroup is, from what its runtime says of it.

use std::{collections::BTreeMap, sync::Arc};

use super::draw::Draw;
use crate::{
    policy::PodFacts,
    workloads::{
        Paths, Place, Pod, is_like_pod, is_transient,
        readers::{from_container, from_parent, place},
    },
};

/// The kernel's bounds, in bytes.
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

/// Finds the cgroups of pods, in any tree. A path that comes out is one that the kernel could have, a reason is short and
/// safe to print, and no two pods have one cgroup.
///
/// # Panics
/// If that is not so.
pub fn cgroups(data: &[u8]) {
    let mut draw = Draw::new(data);
    let told = draw.text();
    for found in [from_parent(&told), from_container(&told)] {
        match found {
            Ok(path) => {
                check(&path);
                // A path from the root is where it says, unless it names a slice.
                if !path.ends_with(".slice") {
                    assert_eq!(from_parent(&format!("/{path}")), Ok(path));
                }
            }
            Err(reason) => assert!(is_safe(&reason), "{reason:?}"),
        }
    }
    let _ = (is_like_pod(&told), is_transient(&told));
    tree(&mut draw, &told);
}

/// That it could be the path of a cgroup below the root.
pub(super) fn check(path: &str) {
    assert!(!path.is_empty() && path.len() < PATH_MAX, "{} bytes", path.len());
    for name in path.split('/') {
        let is_good = !matches!(name, "" | "." | "..") && name.len() <= NAME_MAX && !name.contains('\0');
        assert!(is_good, "{path:?}");
    }
}

fn is_safe(reason: &str) -> bool {
    reason.len() < 2048 && !reason.contains(char::is_control)
}

fn tree(draw: &mut Draw<'_>, first: &str) {
    let mut paths = vec![String::new(), first.to_owned()];
    while !draw.is_empty() && paths.len() < 12 {
        // Below one that is there already, mostly: cgroups and pods nest.
        let parent = paths[draw.below(paths.len())].clone();
        let name = match draw.below(3) {
            0 => draw.text(),
            1 => "pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60".to_owned(),
            _ => "kubepods-pod0f3c1f8e_6a9d_4d3a_9d8e_2b1c3d4e5f60.slice".to_owned(),
        };
        paths.push(if parent.is_empty() { name } else { format!("{parent}/{name}") });
    }
    let exists = draw.byte();
    let cgroups: Paths = (0..)
        .zip(&paths)
        .filter(|(at, _)| exists >> (at % 8) & 1 == 0)
        .map(|(at, path)| (path.clone(), at))
        .collect();
    let pods: Vec<Arc<Pod>> = (0..draw.below(6))
        .map(|number| {
            let facts =
                PodFacts { namespace: "n".to_owned(), name: format!("p{number}"), ..PodFacts::default() };
            let place = match draw.below(4) {
                0 => Place::Unreachable("a reason".to_owned()),
                1 => Place::Untold("an answer".to_owned()),
                _ => Place::Cgroup(paths[draw.below(paths.len())].clone()),
            };
            Arc::new(Pod { facts, sandbox: format!("s{number}"), network: None, place })
        })
        .collect();
    let placed = place(&pods, &cgroups);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let told = placed.by_path.values().chain(placed.unreachable.iter().map(|it| &it.pod));
    told.for_each(|pod| *seen.entry(pod.facts.name.clone()).or_default() += 1);
    assert!(seen.len() == pods.len() && seen.values().all(|times| *times == 1), "{seen:?} of {}", pods.len());
    for path in placed.by_path.keys() {
        assert!(cgroups.contains_key(path), "{path:?}");
        let is_inside =
            |other: &String| other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'));
        assert!(!placed.by_path.keys().any(is_inside), "a pod in a pod: {placed:?}");
    }
}
