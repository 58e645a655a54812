//! The text of one file, whatever the file turns out to be.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::super::diagnostic::{Diagnostic, Fault};

/// The largest policy file, in bytes: 1 MiB, the most a ConfigMap holds.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// The text of the policy file at `path`.
pub(super) fn read(path: &Path) -> Result<String, Diagnostic> {
    let name = path.display().to_string();
    let of_file = |fault| Diagnostic::of_file(&name, fault);
    let unreadable = |e: io::Error| {
        of_file(Fault::new(
            format!("cannot be read: {e}"),
            match e.kind() {
                io::ErrorKind::NotFound => "check the path, and what a link on it points to",
                _ => "remove it, or make it readable",
            },
        ))
    };
    let file = open(path).map_err(unreadable)?.map_err(of_file)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(of_file(Fault::new(
            format!("is larger than {MAX_FILE_BYTES} bytes"),
            "split it into several files",
        )));
    }
    String::from_utf8(bytes).map_err(|e| not_utf8(&name, e.as_bytes(), e.utf8_error().valid_up_to()))
}

/// The file if it is a regular one. Others are not even opened, because opening a device can have effects;
/// and should one take the file's place in between, opening does not wait for a writer.
fn open(path: &Path) -> io::Result<Result<File, Fault>> {
    let irregular = |kind: FileType| {
        Fault::new(
            format!("is {}, not a regular file", describe(kind)),
            "remove it, or give it another ending",
        )
    };
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() {
        return Ok(Err(irregular(kind)));
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let kind = file.metadata()?.file_type();
    Ok(if kind.is_file() { Ok(file) } else { Err(irregular(kind)) })
}

fn describe(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn not_utf8(name: &str, bytes: &[u8], valid: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    Diagnostic {
        line: before.matches('\n').count() as u64 + 1,
        column: last_line.chars().count() as u64 + 1,
        ..Diagnostic::of_file(name, Fault::new("this is not UTF-8 text", "save the file as UTF-8"))
    }
}
