//! Network namespaces and the cables between them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use super::{report_leftover, tool, unique};

/// Where `ip netns` keeps the named namespaces.
const NAMED: &str = "/run/netns";

/// A named network namespace with its loopback up; deleted when dropped, with the interfaces in it.
#[derive(Debug)]
pub struct Netns {
    name: String,
    handle: Arc<File>,
}

impl Netns {
    /// Makes a namespace with a unique name.
    ///
    /// # Errors
    /// When `ip` is missing or the kernel refuses.
    pub fn create(prefix: &str, label: &str) -> Result<Self> {
        let name = unique(prefix, label, |name| Path::new(NAMED).join(name).exists());
        tool::output(Command::new(tool::path("ip")).args(["netns", "add", &name]))?;
        let path = Path::new(NAMED).join(&name);
        let handle = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let netns = Self { name, handle: Arc::new(handle) };
        netns.exec_ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// The name, as `ip netns list` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it, as setns(2) takes it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(NAMED).join(&self.name)
    }

    /// A command that starts `program` inside the namespace; mounts stay those of the caller.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let handle = Arc::clone(&self.handle);
        let enter = move || setns(handle.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        let mut command = Command::new(program);
        // SAFETY: the closure makes one setns(2) on a file opened before the fork; it neither allocates nor locks.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs `work` on a thread of its own inside the namespace: its sockets belong there.
    ///
    /// # Errors
    /// When the namespace cannot be entered; a panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || {
            setns(self.handle.as_fd(), CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("entering the network namespace {}", self.name))?;
            Ok(work())
        };
        std::thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// What `ip` with these arguments says inside the namespace.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn exec_ip(&self, arguments: &[&str]) -> Result<String> {
        tool::output(Command::new(tool::path("ip")).args(["-netns", &self.name]).args(arguments))
    }

    /// Sends everything that has no better route through `gateway`.
    ///
    /// # Errors
    /// When `ip` refuses the route.
    pub fn default_route(&self, gateway: &str) -> Result<()> {
        self.exec_ip(&["route", "add", "default", "via", gateway]).map(drop)
    }

    /// Sets a kernel parameter of this namespace: `sysctl("net.ipv4.ip_forward", "1")`.
    ///
    /// # Errors
    /// When the parameter does not exist in the namespace or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let file = Path::new("/proc/sys").join(key.replace('.', "/"));
        self.run(|| fs::write(&file, value))?
            .map_err(|error| anyhow!(error).context(format!("setting {key} to {value} in {}", self.name)))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = tool::output(Command::new(tool::path("ip")).args(["netns", "delete", &self.name]))
        {
            report_leftover(&format!("the network namespace {}", self.name), &error);
        }
    }
}

/// One end of a [`veth`] cable.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The namespace that gets this end.
    pub netns: &'a Netns,
    /// The name of the interface there, at most 15 bytes.
    pub interface: &'a str,
    /// The address with its prefix length: `10.0.0.1/24` or `fd00::1/64`.
    pub address: &'a str,
}

/// Connects two namespaces; the cable goes away with either of them.
///
/// # Errors
/// When `ip` refuses a name or an address.
pub fn veth(left: End<'_>, right: End<'_>) -> Result<()> {
    let peer = ["type", "veth", "peer", "name", right.interface, "netns", right.netns.name()];
    let link = ["link", "add", left.interface];
    left.netns.exec_ip(&[&link[..], &peer[..]].concat())?;
    for end in [left, right] {
        // Without `nodad` an IPv6 address cannot be used until the kernel has looked for a duplicate.
        let family: &[&str] = if end.address.contains(':') { &["nodad"] } else { &[] };
        let address = ["address", "add", end.address, "dev", end.interface];
        end.netns.exec_ip(&[&address[..], family].concat())?;
        end.netns.exec_ip(&["link", "set", end.interface, "up"])?;
    }
    Ok(())
}
