//! A terminal for a program that draws on one: a pseudoterminal, and in memory what would be seen.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    process::{Child, Command, ExitStatus},
    time::Instant,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};
use xtask::lab::patience;

/// How long to wait for more of what a program writes, in milliseconds.
const MOMENT: u8 = 50;

/// A program on a terminal of its own; killed when this is dropped.
pub(crate) struct Terminal {
    child: Child,
    /// Where whoever sits at it types and looks; `None` once it is closed.
    near: Option<File>,
    /// Kept open, so that its settings can be read when the program is gone.
    far: File,
    settings: Termios,
    seen: vt100::Parser,
}

impl Terminal {
    /// Starts a program with a terminal of so many columns and rows as the one that controls it.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let (near, far) = open(columns, rows);
        let settings = tcgetattr(&far).unwrap();
        let mut on_terminal = Command::new("setsid");
        on_terminal.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(name, value),
                None => on_terminal.env_remove(name),
            };
        }
        on_terminal.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let end = || far.try_clone().unwrap();
        let child = on_terminal.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let [rows, columns] = [rows, columns].map(|it| NonZeroU16::new(it).unwrap());
        let seen = vt100::Parser::new(rows, columns, 0);
        Self { child, near: Some(near), far, settings, seen }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types; escape sequences are what keys such as arrows send.
    pub(crate) fn press(&mut self, keys: &str) {
        self.near.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Closes the window.
    pub(crate) fn hang_up(&mut self) {
        self.near = None;
    }

    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.seen.screen()
    }

    /// The text on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen().contents()
    }

    /// Waits until all of this is on the screen.
    pub(crate) fn await_text(&mut self, texts: &[&str]) -> String {
        let what = format!("{texts:?} on the screen");
        self.await_screen(&what, |screen| {
            let contents = screen.contents();
            texts.iter().all(|text| contents.contains(text)).then_some(contents)
        })
    }

    /// Waits until something is found on the screen.
    pub(crate) fn await_screen<T>(&mut self, what: &str, look: impl Fn(&vt100::Screen) -> Option<T>) -> T {
        let deadline = Instant::now() + patience();
        loop {
            if let Some(found) = look(self.screen()) {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what}, but:\n{}", self.text());
            self.take();
        }
    }

    /// Waits until the program has ended, and takes all that it wrote.
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + patience();
        loop {
            let ended = self.child.try_wait().unwrap();
            let took = self.take();
            if let Some(status) = ended.filter(|_| !took) {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.text());
        }
    }

    /// Whether the terminal is as it was before the program started.
    pub(crate) fn is_restored(&self) -> bool {
        let screen = self.screen();
        tcgetattr(&self.far).unwrap() == self.settings && !screen.alternate_screen() && !screen.hide_cursor()
    }

    /// Takes what was written; whether there was anything within a moment.
    fn take(&mut self) -> bool {
        let Some(near) = &mut self.near else { return false };
        let mut fds = [PollFd::new(near.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(MOMENT)).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 65_536];
        let length = near.read(&mut bytes).unwrap();
        self.seen.process(&bytes[..length]);
        length > 0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended, if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both ends of a new terminal. No program that another test starts at this moment gets hold of them: an end that stays
/// open somewhere is a window that cannot be closed.
fn open(columns: u16, rows: u16) -> (File, File) {
    let near = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let name = ptsname_r(&near).unwrap();
    let far = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name).unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the call reads a size that lives in this frame.
    let result = unsafe { libc::ioctl(near.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(result, 0);
    (File::from(OwnedFd::from(near)), far)
}
