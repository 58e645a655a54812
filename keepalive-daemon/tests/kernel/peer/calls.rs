//! Single calls of setsockopt(2) and getsockopt(2), with whatever values, and by the entry of 32-bit programs; and single
//! datagrams.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use socket2::Socket;

/// An option and a value for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) level: i32,
    pub(crate) name: i32,
    pub(crate) value: Vec<u8>,
    /// Whether as a 32-bit program does it.
    pub(crate) narrow: bool,
}

impl Call {
    pub(crate) fn new((level, name): (i32, i32), value: i32) -> Self {
        Self::of_bytes((level, name), value.to_ne_bytes().to_vec())
    }

    pub(crate) const fn of_bytes((level, name): (i32, i32), value: Vec<u8>) -> Self {
        Self { level, name, value, narrow: false }
    }

    /// Makes it; fails with the errno.
    pub(super) fn make(&self, socket: &Socket) -> Result<(), i32> {
        let length = u32::try_from(self.value.len()).unwrap();
        let descriptor = socket.as_raw_fd();
        if self.narrow {
            return narrow(descriptor, self);
        }
        // SAFETY: the kernel reads the value, which is as long as it says.
        let result = unsafe {
            libc::setsockopt(descriptor, self.level, self.name, self.value.as_ptr().cast(), length)
        };
        if result == 0 { Ok(()) } else { Err(errno()) }
    }
}

/// The first word that getsockopt tells of an option.
pub(super) fn read(socket: &Socket, (level, name): (i32, i32)) -> Result<i32, i32> {
    let mut value = 0_i32;
    let mut length = 4;
    let at = std::ptr::from_mut(&mut value).cast();
    // SAFETY: the kernel writes at most as much as the value is long.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, at, &raw mut length) };
    if result == 0 { Ok(value) } else { Err(errno()) }
}

/// Sends a datagram and waits for it elsewhere; fails with the errno.
pub(super) fn datagram(to: SocketAddr, at: SocketAddr) -> Result<usize, i32> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let sent = || -> io::Result<usize> {
        let receiver = UdpSocket::bind(at)?;
        receiver.set_read_timeout(Some(PATIENCE))?;
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.send_to(b"word", to)?;
        receiver.recv(&mut [0; 64])
    };
    sent().map_err(|error| error.raw_os_error().unwrap())
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// `int 0x80`, which takes the numbers of 32-bit programs and addresses below 4 GiB.
#[cfg(target_arch = "x86_64")]
fn narrow(descriptor: i32, call: &Call) -> Result<(), i32> {
    const SETSOCKOPT: i32 = 366;
    let length = call.value.len();
    // SAFETY: a fresh page, to no address of anybody's.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    assert!(page != libc::MAP_FAILED && length <= 4096);
    // SAFETY: the page is longer than the value.
    unsafe { std::ptr::copy_nonoverlapping(call.value.as_ptr(), page.cast(), length) };
    let mut result = SETSOCKOPT;
    // SAFETY: the call reads the page and nothing else; `rbx`, which the compiler keeps for itself, is put back.
    unsafe {
        std::arch::asm!(
            "xchg {descriptor:r}, rbx",
            "int 0x80",
            "xchg {descriptor:r}, rbx",
            descriptor = inout(reg) i64::from(descriptor) => _,
            inout("eax") result,
            in("rcx") i64::from(call.level),
            in("rdx") i64::from(call.name),
            in("rsi") page,
            in("rdi") length,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    // SAFETY: nobody else knows the page.
    unsafe { libc::munmap(page, 4096) };
    match result {
        0 => Ok(()),
        errno => Err(-errno),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn narrow(_: i32, _: &Call) -> Result<(), i32> {
    Err(libc::ENOSYS)
}
