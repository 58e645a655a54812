//! Cgroups whose names are no text. No policy can name them, and yet connections are made in them, which what is above
//! governs; so each has a path that is text and that no other can have: the kernel refuses names with a newline.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

/// What the name of such a cgroup ends with.
const MARK: char = '\n';

/// The name of a cgroup as it is in a path.
pub(super) fn to_text(name: OsString) -> String {
    let bytes = match name.into_string() {
        Ok(text) => return text,
        Err(name) => name.into_vec(),
    };
    let mut text: String = bytes.iter().map(|byte| escaped(*byte)).collect();
    text.push(MARK);
    text
}

/// Whether a cgroup, by its path, is one of these or below one: it can be neither selected nor attached to.
pub(crate) fn is_nameless(path: &str) -> bool {
    path.contains(MARK)
}

/// A path for people, with a backslash and two digits for each byte that is no text.
pub(crate) fn readable(path: &str) -> String {
    path.replace(MARK, "")
}

/// Where the cgroup of a path lies below the root.
pub(super) fn directory(path: &str) -> PathBuf {
    if !is_nameless(path) {
        return path.into();
    }
    path.split('/').map(name).collect()
}

fn name(text: &str) -> OsString {
    let Some(escaped) = text.strip_suffix(MARK) else { return text.into() };
    let mut rest = escaped.as_bytes();
    let mut name = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|_| *first == b'\\') {
            Some(byte) => {
                name.push(byte);
                rest = &after[3..];
            }
            None => {
                name.push(*first);
                rest = after;
            }
        }
    }
    OsStr::from_bytes(&name).to_owned()
}

fn escaped(byte: u8) -> String {
    match byte {
        b'\\' | 0x80.. => format!("\\x{byte:02X}"),
        _ => char::from(byte).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_text_stays_as_it_is() {
        for name in ["app", "ü", r"dev\x2dhuge.mount", "...", "\u{fffd}"] {
            assert_eq!(to_text(name.into()), name);
            assert!(!is_nameless(name));
            assert_eq!(directory(name), Path::new(name));
        }
    }

    #[test]
    fn any_bytes_are_found_again_and_no_two_names_are_the_same() {
        let names: [&[u8]; 6] =
            [b"caf\xe9", b"caf\\xE9\xff", b"caf\\xE9\xfe", b"\xff\\", b"\xe9\\x", b"\x01\xff"];
        let texts = names.map(|name| to_text(OsStr::from_bytes(name).to_owned()));

        for (name, text) in names.iter().zip(&texts) {
            assert!(is_nameless(text));
            assert_eq!(
                directory(&format!("a/{text}/b")),
                Path::new("a").join(OsStr::from_bytes(name)).join("b")
            );
        }
        let different: std::collections::BTreeSet<_> = texts.iter().collect();
        assert_eq!(different.len(), names.len());
        assert_eq!(readable(&format!("a/{}/b", texts[0])), r"a/caf\xE9/b");
    }
}
