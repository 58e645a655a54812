//! Where log lines go, and which.
//!
//! The levels are a contract: ERROR the job is not being done, WARN somebody should look, INFO a change we made
//! to the system and why, DEBUG and TRACE the rest. Nothing about a single connection is above TRACE.

use std::env;

use clap::ValueEnum;
use keepalive_ebpf::LOG_TARGET;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

/// Starts logging to standard error: INFO and above, or what `RUST_LOG` says. With `kernel`, also the TRACE
/// lines that the eBPF program writes.
pub(crate) fn init(format: Format, kernel: bool) {
    let mut filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // Of each relocation aya has a line, which nobody means who does not name it.
    let is_named = env::var("RUST_LOG").is_ok_and(|asked| asked.contains("aya"));
    let is_wide = filter.max_level_hint().is_none_or(|most| most > LevelFilter::INFO);
    if is_wide
        && !is_named
        && let Ok(directive) = "aya=info".parse()
    {
        filter = filter.add_directive(directive);
    }
    if kernel && let Ok(directive) = format!("{LOG_TARGET}=trace").parse() {
        filter = filter.add_directive(directive);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => builder.with_target(false).with_ansi(on_terminal()).init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
}

fn on_terminal() -> bool {
    use std::io::IsTerminal as _;

    std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none()
}
