//! Answers of sock_diag.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::sock_diag(data));
