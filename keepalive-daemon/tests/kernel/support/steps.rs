//! A program that is killed right before one of its steps: the system calls that leave something which outlives it.
//!
//! Between two of those nothing changes that the next one could find, so that killing it before each of them, one after
//! the other, is killing it everywhere. A seccomp filter stops the program at these calls alone, and ptrace tells.

use std::{
    io::{self, BufRead as _, BufReader},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{ChildStderr, Command, Stdio},
    ptr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{descriptors::pidfd_open, filter};

/// When a program is killed.
pub(crate) struct End<'a> {
    /// It counts from where the program says this, with what is done then; from its start if absent.
    pub(crate) from: Option<(&'a str, &'a (dyn Fn() + Sync))>,
    pub(crate) at: At,
    /// Where it is killed if it gets so far.
    pub(crate) until: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Right before this step; the first is 1.
    Step(usize),
    After(Duration),
    /// Not before it is where it may get to.
    Last,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// How many steps it came to, the last of them not taken if it was killed there.
    pub(crate) steps: usize,
    /// The step it was killed at.
    pub(crate) at: Option<&'static str>,
    pub(crate) said: String,
    /// Whether it got to where it was to be killed at the latest.
    pub(crate) is_done: bool,
    /// Its exit code, if it was not killed.
    pub(crate) code: Option<i32>,
    updates_links: bool,
    hung: bool,
}

/// Runs a program until it is killed, or ends.
#[expect(clippy::zombie_processes, reason = "who traces it waits for it, and reaps it")]
pub(crate) fn run_until(mut command: Command, end: &End<'_>) -> Ended {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let filter = filter::instructions();
    // SAFETY: the closure makes two system calls with memory from before the fork; it neither allocates nor locks.
    unsafe { command.pre_exec(move || filter::trace_me(&filter)) };
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let run = Run {
        end,
        process: pidfd_open(child.id()).unwrap(),
        counts: AtomicBool::new(end.from.is_none()),
        is_done: AtomicBool::new(false),
        said: Mutex::default(),
    };
    let stderr = child.stderr.take().unwrap();
    let mut ended = Ended::default();
    thread::scope(|scope| {
        scope.spawn(|| run.read(stderr));
        if end.from.is_none() {
            scope.spawn(|| run.kill_in_time());
        }
        // On the thread that started it: that alone is its tracer.
        ended = trace(pid, &run);
    });
    ended.is_done = run.is_done.into_inner();
    ended.said = run.said.into_inner().unwrap();
    assert!(!ended.hung, "it hung, and never said {:?}:\n{}", end.until, ended.said);
    assert!(!ended.updates_links, "it called BPF_LINK_UPDATE:\n{}", ended.said);
    ended
}

struct Run<'a> {
    end: &'a End<'a>,
    process: OwnedFd,
    /// Whether steps count already.
    counts: AtomicBool,
    is_done: AtomicBool,
    said: Mutex<String>,
}

impl Run<'_> {
    fn read(&self, stderr: ChildStderr) {
        thread::scope(|scope| {
            for line in BufReader::new(stderr).lines() {
                let line = line.unwrap();
                *self.said.lock().unwrap() += &format!("  | {line}\n");
                let counts = self.counts.load(Ordering::SeqCst);
                if let Some((_, act)) = self.end.from.filter(|(from, _)| !counts && line.contains(from)) {
                    self.counts.store(true, Ordering::SeqCst);
                    act();
                    scope.spawn(|| self.kill_in_time());
                } else if counts && self.end.until.is_some_and(|until| line.contains(until)) {
                    self.is_done.store(true, Ordering::SeqCst);
                    self.kill();
                }
            }
        });
    }

    fn kill_in_time(&self) {
        if let At::After(time) = self.end.at {
            // The time is what the test is about.
            thread::sleep(time);
            self.kill();
        }
    }

    /// It may have ended, and its id be another's.
    fn kill(&self) {
        let none: *const libc::siginfo_t = ptr::null();
        // SAFETY: the call reads no memory: the pointer to what it would is null.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.process.as_raw_fd(), libc::SIGKILL, none, 0)
        };
    }
}

/// Lets a traced program run, all its threads, until it ends.
fn trace(pid: Pid, run: &Run<'_>) -> Ended {
    const OPTIONS: i32 = libc::PTRACE_O_TRACESECCOMP
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    let mut ended = Ended::default();
    let mut is_set_up = false;
    loop {
        let (thread, status) = wait(pid);
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if thread == pid.as_raw() {
                ended.hung = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM;
                ended.code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
                return ended;
            }
            continue;
        }
        let signal = match (status >> 16, libc::WSTOPSIG(status)) {
            (libc::PTRACE_EVENT_SECCOMP, _) => {
                let step = filter::name(message(thread));
                ended.updates_links |= step == filter::NEVER;
                if run.counts.load(Ordering::SeqCst) && ended.at.is_none() {
                    ended.steps += 1;
                    if run.end.at == At::Step(ended.steps) {
                        ended.at = Some(step);
                        kill(pid, Signal::SIGKILL).unwrap();
                    }
                }
                0
            }
            // The program stops once it is loaded, each thread when it begins. What it becomes later is told as an event.
            (0, libc::SIGTRAP) if !is_set_up => {
                is_set_up = true;
                ptrace(libc::PTRACE_SETOPTIONS, thread, i64::from(OPTIONS)).unwrap();
                0
            }
            (0, libc::SIGSTOP) | (1.., _) => 0,
            (_, signal) => signal,
        };
        // One that was killed meanwhile is not there any more.
        let _ = ptrace(libc::PTRACE_CONT, thread, i64::from(signal));
    }
}

/// Waits for something to happen to a thread of a program that leads its process group.
fn wait(pid: Pid) -> (i32, i32) {
    let mut status = 0;
    loop {
        // SAFETY: the call writes a number that lives in this frame.
        let thread = unsafe { libc::waitpid(-pid.as_raw(), &raw mut status, libc::__WALL) };
        match Errno::result(thread) {
            Ok(thread) => return (thread, status),
            Err(Errno::EINTR) => {}
            Err(error) => panic!("cannot wait for {pid}: {error}"),
        }
    }
}

/// What the filter says of the call that a thread is stopped at.
fn message(thread: i32) -> u64 {
    let mut message = 0_u64;
    let _ = ptrace(libc::PTRACE_GETEVENTMSG, thread, &raw mut message as i64);
    message
}

fn ptrace(request: libc::c_uint, thread: i32, data: i64) -> io::Result<()> {
    // SAFETY: of the requests made here, one writes a number to a place that the caller's frame holds.
    let result = unsafe { libc::ptrace(request, thread, ptr::null_mut::<libc::c_void>(), data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
