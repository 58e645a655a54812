//! Globs on cgroups and namespaces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::globs(data));
