//! A machine that runs: what its tests print, how it ends, and that it does.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::accelerator::Accelerator;
use crate::{console, process, setup::Machine};

/// The exit status of QEMU when the tests passed, and when they failed: see `verdict.sh`. Those of QEMU itself are
/// small.
const PASSED: i32 = 2 * 0o40 + 1;
const FAILED: i32 = 2 * 0o41 + 1;
/// How long the first line may take: an emulated boot takes ten seconds on an idle host, and forty on a busy one.
const BOOT: Duration = Duration::from_secs(180);
/// How long the next line may take. A test gives up after minutes without progress ([`crate::lab::patience`]); the
/// longest makes pods one after another, and each takes seconds where all is emulated.
const SILENCE: Duration = Duration::from_secs(900);
/// How many of the console's last lines a failure repeats.
const TAIL: usize = 40;

/// A machine to be run.
pub(super) struct Qemu<'a> {
    pub(super) machine: &'a Machine,
    pub(super) accelerator: Accelerator,
    pub(super) initramfs: &'a Path,
    /// Where the console is written to.
    pub(super) log: &'a Path,
}

impl Qemu<'_> {
    /// Runs the machine to its end, calls `is_up` when it has read its first files, then `show` with each line of the
    /// tests, and returns whether they passed.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or ends or hangs without a verdict; the error has the console's last lines.
    pub(super) fn run(&self, mut is_up: impl FnMut(), mut show: impl FnMut(&str)) -> Result<bool> {
        let Self { machine: Machine { release, .. }, accelerator, .. } = self;
        console::progress(format_args!("booting a machine with Linux {release}, {}", accelerator.name()));
        let start = Instant::now();
        let mut command = self.command();
        // A signal that ends this process alone would leave the machine with nobody to end it.
        process::end_with_starter(&mut command);
        let mut child = process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let lines = child.stdout.take().map(follow).context("the machine has no output")?;

        let mut patience = BOOT;
        loop {
            match lines.recv_timeout(patience) {
                Ok(line) => {
                    if patience == BOOT {
                        let seconds = start.elapsed().as_secs_f32();
                        console::progress(format_args!("the machine is up, after {seconds:.1} s"));
                        patience = SILENCE;
                        is_up();
                    }
                    show(&line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    child.kill().context("cannot end a machine that hangs")?;
                    child.wait().context("cannot wait for the machine")?;
                    bail!(self.without_verdict(&format!("said nothing for {} s", patience.as_secs())));
                }
            }
        }
        let status = child.wait().context("cannot wait for the machine")?;
        verdict(status).ok_or_else(|| self.without_verdict(&format!("ended ({status})")))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-M", "pc"])
            .args(self.accelerator.options(&self.machine.release))
            .args(["-smp", "2", "-m", "2048"]);
        command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        command.arg("-kernel").arg(&self.machine.kernel).arg("-initrd").arg(self.initramfs);
        // Whatever goes wrong in the kernel or in systemd ends the machine, at once and without a verdict.
        // With a table of connections so small that all its buckets are in use: what depends on which are, shows.
        let panics = "panic=-1 oops=panic systemd.crash_reboot=1";
        command.args(["-append", &format!("console=ttyS0 {panics} thash_entries=64")]);
        command.args(["-serial", &format!("file:{}", doubled_commas(self.log))]);
        command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]);
        // Not `stdio`, to which the machine cannot write when its input ends.
        command.args(["-device", "virtio-serial", "-chardev", "file,path=/dev/stdout,id=tests"]);
        command.args(["-device", "virtserialport,chardev=tests,name=tests"]);
        let host = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap";
        command.args(["-virtfs", host]);
        command
    }

    fn without_verdict(&self, how: &str) -> anyhow::Error {
        let log = self.log.display();
        let text = fs::read(self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  | ");
        anyhow!(
            "the machine {how}, and the tests had not ended; the last lines of its console, {log}:\n  | {tail}"
        )
    }
}

/// How the tests ended, if they did.
fn verdict(status: ExitStatus) -> Option<bool> {
    match status.code() {
        Some(PASSED) => Some(true),
        Some(FAILED) => Some(false),
        _ => None,
    }
}

/// Reads lines as they come; the channel ends with the output.
fn follow(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(io::Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    lines
}

/// A path in an option of QEMU, where a comma ends it.
fn doubled_commas(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn only_the_tests_own_statuses_are_verdicts() {
        let of = |code: i32| verdict(ExitStatus::from_raw(code << 8));

        assert_eq!(of(65), Some(true));
        assert_eq!(of(67), Some(false));
        // What QEMU says when the machine powers off, when it cannot start, and when it is killed.
        assert_eq!([of(0), of(1), verdict(ExitStatus::from_raw(9))], [None; 3]);
    }

    #[test]
    fn a_machine_without_a_verdict_shows_the_end_of_its_console() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| unreachable!("{error}"));
        let log = folder.path().join("console");
        let text: String = (0..100).map(|number| format!("line {number}\r\n")).collect();
        fs::write(&log, text).unwrap_or_else(|error| unreachable!("{error}"));
        let machine =
            Machine { release: String::new(), kernel: "k".into(), modules: "m".into(), busybox: "b".into() };

        let qemu = Qemu {
            machine: &machine,
            accelerator: Accelerator::Emulation,
            initramfs: Path::new("i"),
            log: &log,
        };
        let error = qemu.without_verdict("hung");

        let error = error.to_string();
        assert!(error.starts_with("the machine hung"), "{error}");
        assert!(
            error.contains("  | line 60") && error.contains("line 99") && !error.contains("line 59"),
            "{error}"
        );
    }
}
