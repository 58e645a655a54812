//! The programs that ask.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::tool;

/// The exit status with which each client says that its read timeout passed; curl's own choice.
pub(super) const TIMED_OUT: i32 = 28;

/// A program that sends one HTTP request and waits for the answer until its read timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// A single-file Java program on `java.net.http`, without any socket option.
    Jvm,
    /// Python's `urllib`, without any socket option.
    Python,
    /// curl, which asks for keep-alive by itself unless told not to.
    Curl {
        /// Idle time and interval of its probes in seconds; `None` is `--no-keepalive`.
        keepalive: Option<u32>,
    },
    /// A C program without any socket option but the read timeout, linked statically.
    Static,
}

impl ClientKind {
    /// What people call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Jvm => "JVM",
            Self::Python => "Python",
            Self::Curl { .. } => "curl",
            Self::Static => "static binary",
        }
    }

    /// The program and arguments that ask for `url`; sources and binaries are put into `directory`.
    pub(super) fn words(self, directory: &Path, url: &str, read_timeout: Duration) -> Result<Vec<OsString>> {
        let seconds = read_timeout.as_secs().to_string();
        let source = |name: &str, text: &str| -> Result<OsString> {
            let file = directory.join(name);
            fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
            Ok(file.into())
        };
        let mut words = match self {
            Self::Jvm => vec!["java".into(), source("Client.java", include_str!("Client.java"))?],
            Self::Python => vec!["python3".into(), source("client.py", include_str!("client.py"))?],
            Self::Curl { keepalive: None } => vec!["curl".into(), "--no-keepalive".into()],
            Self::Curl { keepalive: Some(idle) } => {
                vec!["curl".into(), "--keepalive-time".into(), idle.to_string().into()]
            }
            Self::Static => vec![link_statically(&source("client.c", include_str!("client.c"))?, directory)?],
        };
        if let Self::Curl { .. } = self {
            words.extend(["--silent", "--show-error", "--max-time", &seconds, url].map(OsString::from));
        } else {
            words.extend([url.into(), seconds.into()]);
        }
        Ok(words)
    }
}

fn link_statically(source: &OsString, directory: &Path) -> Result<OsString> {
    let binary = directory.join("static-client");
    if !binary.exists() {
        tool::output(Command::new("cc").args(["-static", "-O1", "-Wall", "-o"]).arg(&binary).arg(source))?;
    }
    Ok(binary.into())
}
