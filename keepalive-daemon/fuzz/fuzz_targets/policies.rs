//! The text of policy files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::policies(data));
