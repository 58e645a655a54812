//! What the kernel complains of.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
};

/// The complaints in the kernel's log so far: warnings with a stack, bugs and faults.
pub(crate) fn kernel_complaints() -> Vec<String> {
    let mut log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").unwrap();
    let mut complaints = Vec::new();
    let mut record = [0; 8192];
    loop {
        match log.read(&mut record) {
            Ok(length) => {
                let line = String::from_utf8_lossy(&record[..length]).into_owned();
                let signs = ["WARNING:", "BUG:", "Oops", "general protection fault", "Call Trace:"];
                // That the kernel's workers wait for a processor tells of other load, not of a fault.
                let of_load = line.contains("workqueue lockup");
                if !of_load && signs.iter().any(|sign| line.contains(sign)) {
                    complaints.push(line);
                }
            }
            // The record that was to be read next was overwritten; the following read goes on after it.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return complaints,
            Err(error) => panic!("cannot read /dev/kmsg: {error}"),
        }
    }
}
