//! Watches TCP on one interface and tells keep-alive probes from the rest.

mod segment;

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::{Netns, Observer, Output, Process, Stream, tool};
use segment::Reader;
pub use segment::{Kind, Segment};

/// The bytes that hold the headers of link, IP and TCP with all their options.
const HEADERS: &str = "192";

/// A running capture; ended when dropped.
#[derive(Debug)]
pub struct Capture {
    process: Process,
}

/// Called for each captured segment, on the thread that reads the capture; it must not wait.
pub type SegmentObserver = Arc<dyn Fn(&Segment) + Send + Sync>;

impl Capture {
    /// Captures from `interface` of `netns`; when this returns, the kernel is already capturing.
    ///
    /// # Errors
    /// When `tcpdump` is missing or the interface does not exist.
    pub fn start(netns: &Netns, interface: &str) -> Result<Self> {
        Self::observed(netns, interface, Arc::new(|_| {}))
    }

    /// Like [`Capture::start`]; `observer` hears of each segment as it comes.
    ///
    /// # Errors
    /// When `tcpdump` is missing or the interface does not exist.
    pub fn observed(netns: &Netns, interface: &str, observer: SegmentObserver) -> Result<Self> {
        let mut command = netns.command(tool::path("tcpdump"));
        // Verbose, because only then the sequence number of an empty segment is printed. Of each segment the headers alone:
        // in immediate mode libpcap's ring of 2 MiB has slots of the longest packet there may be, 256 KiB unless told,
        // which makes eight of them, and loses what more comes at a time.
        command.args([
            "-i",
            interface,
            "-n",
            "-l",
            "-S",
            "-tt",
            "-vv",
            "--immediate-mode",
            "-s",
            HEADERS,
            "tcp",
        ]);
        let reader = Mutex::new(Reader::default());
        let lines: Observer = Arc::new(move |output| {
            if let Output::Line(line) = output
                && line.stream == Stream::Stdout
            {
                let segment = reader.lock().unwrap_or_else(PoisonError::into_inner).read(&line.text);
                segment.iter().for_each(|segment| observer(segment));
            }
        });
        let process = Process::observed(&format!("tcpdump in {}", netns.name()), command, lines)?;
        process.wait_line("listening on")?;
        Ok(Self { process })
    }

    /// Makes sure that the capture is still running.
    ///
    /// # Errors
    /// When it has ended; the error shows what it printed.
    pub fn check(&self) -> Result<()> {
        self.process.check()
    }

    /// Everything captured so far.
    ///
    /// # Errors
    /// When the capture has ended by itself.
    pub fn segments(&self) -> Result<Vec<Segment>> {
        self.process.wait_for("segments", |lines, more| {
            let mut reader = Reader::default();
            let stdout = lines.iter().filter(|line| line.stream == Stream::Stdout);
            more.then(|| stdout.filter_map(|line| reader.read(&line.text)).collect())
        })
    }

    /// Waits until `count` segments of this kind were captured, and gives back all of that kind.
    ///
    /// # Errors
    /// When they do not come within a minute.
    pub fn wait_kind(&self, kind: Kind, count: usize) -> Result<Vec<Segment>> {
        self.process.wait_for(&format!("{count} segments of kind {kind:?}"), |lines, _| {
            let mut reader = Reader::default();
            let stdout = lines.iter().filter(|line| line.stream == Stream::Stdout);
            let segments = stdout.filter_map(|line| reader.read(&line.text));
            let found: Vec<_> = segments.filter(|segment| segment.kind == kind).collect();
            (found.len() >= count).then_some(found)
        })
    }
}
