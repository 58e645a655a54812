//! Where a pod's cgroup is.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keepalive_daemon::fuzzing::cgroups(data));
