//! The log lines that the eBPF program writes, turned into the daemon's.

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};
use tracing::warn;

/// Drains the log in a task of its own, for as long as the runtime lives.
pub(super) fn drain(logger: EbpfLogger<&'static dyn log::Log>) -> Result<()> {
    // SAFETY: the logger owns the descriptor of its ring buffer, and always gives this one.
    let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
    let mut logger =
        logger.map_err(std::io::Error::from).context("cannot follow the log of the eBPF program")?;
    tokio::spawn(async move {
        loop {
            match logger.readable_mut().await {
                Ok(mut guard) => {
                    guard.get_inner_mut().flush();
                    guard.clear_ready();
                }
                Err(error) => {
                    warn!(%error, "the log of the eBPF program cannot be followed any more");
                    return;
                }
            }
        }
    });
    Ok(())
}
