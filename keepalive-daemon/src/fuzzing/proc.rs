//! Files of `/proc`, in which others choose names: of processes, of interfaces, of directories that they mount on.

use std::path::{Path, PathBuf};

use super::draw::Draw;
use crate::{
    facts::readers::{forwarders, interfaces, of_files, tcp_services},
    kernel::readers::{inode_of, mounted_namespace, parent},
    workloads::readers::find_cgroup2,
};

/// Reads the mount table, routes and addresses, links and states of processes.
///
/// # Panics
/// If a path or a number comes out as another than was written.
pub fn proc(data: &[u8]) {
    let mut draw = Draw::new(data);
    match draw.byte() % 4 {
        0 => mounts(&mut draw),
        1 => table(draw.rest()),
        2 => network(&mut draw),
        _ => processes(&mut draw),
    }
}

/// A mount is found at the path it was mounted on, whatever the path.
fn mounts(draw: &mut Draw<'_>) {
    let before = draw.text().replace('\n', " ");
    let path = format!("/{}", draw.text());
    let escaped = escape(path.as_bytes());
    let table = format!("{before}\n41 31 0:38 / {escaped} rw shared:4 - cgroup2 cgroup2 rw\n");
    let found = find_cgroup2(table.as_bytes(), |mount_point| mount_point == Path::new(&path));
    let expected = PathBuf::from(&path);
    assert_eq!(found.map(|mount| mount.mount_point), Some(expected.clone()), "{table:?}");

    let line = format!("32 29 0:4 net:[4026532177] {escaped} rw shared:6 - nsfs nsfs rw");
    assert_eq!(mounted_namespace(line.as_bytes()), Some(expected), "{line:?}");
}

/// As the kernel writes paths into tables.
fn escape(path: &[u8]) -> String {
    let escaped = path.iter().map(|byte| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        _ => vec![*byte],
    });
    String::from_utf8_lossy(&escaped.flatten().collect::<Vec<_>>()).into_owned()
}

fn table(bytes: &[u8]) {
    let table = String::from_utf8_lossy(bytes);
    if let Some(mount) = find_cgroup2(bytes, |_| true) {
        assert!(table.contains("cgroup2"), "{} at {:?}", mount.root.display(), mount.mount_point);
    }
    let found = bytes.split(|byte| *byte == b'\n').filter_map(mounted_namespace).count();
    assert!(found <= bytes.len() / "net:[".len());
}

/// Namespaces that forward for each other, in whatever circles.
fn network(draw: &mut Draw<'_>) {
    let mut namespaces = Vec::new();
    while !draw.is_empty() && namespaces.len() < 8 {
        let forwards = draw.coin();
        let files = ["route", "ipv6_route", "fib_trie", "if_inet6"].map(|name| (name, draw.text()));
        let lines = |name: &str| {
            let text = files.iter().find(|(it, _)| *it == name).map_or("", |(_, text)| text.as_str());
            text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
        };
        namespaces.push((forwards, of_files(lines)));
        let lines = || lines("route");
        assert!(interfaces(lines()) <= lines().count());
        assert!(usize::try_from(tcp_services(lines())).is_ok_and(|services| services <= lines().count()));
    }
    let found = forwarders(&namespaces, draw.below(namespaces.len() + 1));
    assert_eq!(found.len(), namespaces.len());
    for (index, forwarders) in found.iter().enumerate() {
        assert!(!forwarders.contains(&index) && forwarders.iter().all(|it| namespaces[*it].0));
    }
}

/// A process may call itself whatever it likes.
fn processes(draw: &mut Draw<'_>) {
    let number = u32::from(draw.byte()) << 8 | u32::from(draw.byte());
    let text = draw.text();
    let name: String = text.chars().take(15).collect();
    assert_eq!(parent(&format!("7 ({name}) S {number} 7 7 0 -1")), Some(number), "{name:?}");
    let _ = parent(&text);
    assert_eq!(inode_of(&format!("socket:[{number}]")), Some(number));
    if let Some(inode) = inode_of(&text) {
        assert!(text.contains(&inode.to_string()), "{text:?}");
    }
}
