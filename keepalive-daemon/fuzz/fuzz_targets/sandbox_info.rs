//! The JSON in the verbose state of a sandbox.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::sandbox_info(data));
