//! The kernel's description of its types.

use crate::kernel::readers::Btf;

/// Reads BTF and looks for fields in it. None is looked for for ever, whatever contains what.
///
/// # Panics
/// If what is found contradicts itself.
pub fn btf(data: &[u8]) {
    let Ok(types) = Btf::parse(data) else { return };
    for (structure, field) in [
        ("sock", "a"),
        ("sock", "a.b"),
        ("sock", "sk_cgrp_data"),
        ("tcp_sock", "write_seq"),
        ("", ""),
        ("a", "b.c"),
    ] {
        let found = types.offset(structure, field).map_err(|error| error.to_string());
        assert_eq!(found, types.offset(structure, field).map_err(|error| error.to_string()));
    }
}
