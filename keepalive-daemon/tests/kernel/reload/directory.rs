//! The directory itself changes: moved, made anew, swapped as a whole.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{armed, count, fresh, governed, policy};
use crate::support::{Host, document, options};

pub(super) fn a_directory_moved_away_and_made_anew_is_followed() {
    let (host, app, daemon) = governed("moved");
    let away = host.directory().join("away");
    let mark = daemon.mark();

    fs::rename(host.policies(), &away).unwrap();

    daemon.wait_line_from(mark, "the last good ones stay in force").unwrap();
    assert_eq!(fresh(&host, &app), armed(100));

    let anew = host.directory().join("anew");
    fs::create_dir(&anew).unwrap();
    fs::write(anew.join("p.yaml"), policy(200)).unwrap();
    fs::rename(&anew, host.policies()).unwrap();

    daemon.wait_line_from(mark, "changed the policy").unwrap();
    assert_eq!(fresh(&host, &app), armed(200));
    let mark = daemon.mark();

    // The one that replaced it is followed like the first.
    host.write_policies("p.yaml", &policy(300));

    daemon.wait_line_from(mark, "changed the policy").unwrap();
    assert_eq!(fresh(&host, &app), armed(300));
    let mark = daemon.mark();

    fs::rename(host.policies(), &anew).unwrap();
    fs::rename(&away, host.policies()).unwrap();

    daemon.wait_line_from(mark, "changed the policy").unwrap();
    assert_eq!(fresh(&host, &app), armed(100));
}

/// Puts files in place as kubelet does with those of a ConfigMap: a directory of their own, and a link to it that
/// is replaced in one step.
fn swap(host: &Host, version: usize, files: [(&str, String); 2]) {
    let policies = host.policies();
    let next = format!("..version_{version}");
    fs::create_dir(policies.join(&next)).unwrap();
    for (name, text) in files {
        fs::write(policies.join(&next).join(name), text).unwrap();
        if !policies.join(name).exists() {
            symlink(Path::new("..data").join(name), policies.join(name)).unwrap();
        }
    }
    symlink(&next, policies.join("..data_tmp")).unwrap();
    let before = fs::read_link(policies.join("..data")).ok();
    fs::rename(policies.join("..data_tmp"), policies.join("..data")).unwrap();
    if let Some(before) = before {
        fs::remove_dir_all(policies.join(before)).unwrap();
    }
}

pub(super) fn a_config_map_is_read_as_one_snapshot_at_each_swap() {
    let host = Host::new("config-map");
    let [one, two] = ["one", "two"].map(|name| host.cgroup(name));
    // Each version has both policies, each in the file that the other was in before: with files of two versions
    // one of them would be there twice, and the other not at all.
    let files = |version: usize| {
        let spec = format!("keepalive: {{idle: {}s, interval: 13s, probes: 5}}", 100 + version);
        let mut policies = ["one", "two"].map(|name| document(name, name, &spec));
        policies.rotate_left(version % 2);
        let [a, b] = policies;
        [("a.yaml", a), ("b.yaml", b)]
    };
    swap(&host, 0, files(0));
    let daemon = host.start();
    for version in 1..=20 {
        let mark = daemon.mark();

        swap(&host, version, files(version));

        for name in ["one", "two"] {
            daemon.wait_line_from(mark, &format!("changed the policy cgroup=\"{name}\"")).unwrap();
        }
        let idle = 100 + u64::try_from(version).unwrap();
        for cgroup in [&one, &two] {
            assert_eq!(fresh(&host, cgroup), options(true, idle, 13, 5, 0));
        }
    }
    assert_eq!(count(&daemon, "cannot use the policies"), 0);
    assert_eq!(count(&daemon, "detached"), 0);
}
