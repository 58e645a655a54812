//! Rules for destinations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::destinations(data));
