//! The kernel's description of its types.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::btf(data));
