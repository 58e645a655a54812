//! Globs on cgroups and on namespaces.

mod naive;

use super::draw::Draw;
use crate::policy::{CgroupGlob, Fault, NamespaceGlob, NamespaceGlobs};

/// Matches globs with paths and names. What is refused says why and what would do; what is taken matches what a matcher
/// that tries everything finds.
///
/// # Panics
/// If that is not so.
pub fn globs(data: &[u8]) {
    let mut draw = Draw::new(data);
    let (glob, path) = (draw.text(), draw.text());
    match CgroupGlob::parse(&glob) {
        Ok(parsed) => {
            assert_eq!(parsed.as_str(), glob);
            let found = parsed.matches(&path);
            let below = glob.strip_prefix('/').unwrap_or(&glob);
            let expected = match (glob == "/", path.is_empty()) {
                (false, false) => naive::matches(below, &path, true),
                (is_root, is_empty) => Some(is_root && is_empty),
            };
            assert_eq!(found, expected.unwrap_or(found), "{glob:?} on {path:?}");
        }
        Err(fault) => refusal(&fault),
    }
    match NamespaceGlob::parse(&glob) {
        Ok(parsed) => {
            let globs = NamespaceGlobs::new(vec![parsed]).expect("one is not too many");
            let found = globs.matches(&path);
            let expected = naive::matches(&glob, &path, false);
            assert_eq!(found, expected.unwrap_or(found), "{glob:?} on {path:?}");
        }
        Err(fault) => refusal(&fault),
    }
    literal(&path, &glob);
}

fn refusal(fault: &Fault) {
    assert!(!fault.message.is_empty() && !fault.help.is_empty() && fault.to_string().len() < 1024, "{fault}");
}

/// A glob that is made for one path matches that and no other.
fn literal(path: &str, other: &str) {
    if let Ok(glob) = CgroupGlob::parse(&CgroupGlob::literal(path)) {
        let below = path.strip_prefix('/').unwrap_or(path);
        assert!(glob.matches(below), "{path:?}");
        assert!(other == below || !glob.matches(other), "{path:?} {other:?}");
    }
}
