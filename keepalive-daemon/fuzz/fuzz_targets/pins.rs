//! What lies in the bpffs and in the maps.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::pins(data));
