//! The annotations of pods.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::annotations(data));
