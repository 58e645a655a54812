//! A program of another tool, for `sock_ops`, for calls about options, or for connect(2): loaded from a few
//! instructions, attached in any of the four ways.

mod address;
mod assembler;
mod map;
mod setsockopt;
mod tool;

use std::{
    fs::File,
    io,
    net::SocketAddrV4,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
};

use aya_obj::generated::{
    bpf_attach_type::{
        BPF_CGROUP_GETSOCKOPT, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS,
        BPF_CGROUP_UDP4_SENDMSG,
    },
    bpf_attr, bpf_cmd,
    bpf_prog_type::{BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_PROG_TYPE_SOCK_OPS},
};
use xtask::lab::{Cgroup, bpf};

use self::{
    assembler::{Assembler, CONTEXT, Width},
    map::Map,
};
pub(crate) use self::{setsockopt::Effect, tool::Tool};

/// What the program replies when it is asked for the initial receive window, in segments.
pub(crate) const WINDOW_SEGMENTS: u64 = 10;

/// How a program can be attached to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `BPF_PROG_ATTACH` without flags: alone.
    Alone,
    /// `BPF_PROG_ATTACH` with `BPF_F_ALLOW_OVERRIDE`.
    Override,
    /// `BPF_PROG_ATTACH` with `BPF_F_ALLOW_MULTI`.
    Multi,
    /// `BPF_LINK_CREATE`.
    Link,
}

/// A loaded program.
pub(crate) struct Foreign {
    program: OwnedFd,
    attach_type: u32,
}

/// A program that notes the calls of setsockopt(2), and its map.
pub(crate) struct Listener {
    program: Foreign,
    calls: Map,
}

impl Listener {
    pub(crate) fn load() -> Self {
        let calls = Map::array(256);
        let (kind, attach_type) = (BPF_PROG_TYPE_CGROUP_SOCKOPT as u32, BPF_CGROUP_SETSOCKOPT as u32);
        let program = Foreign::load_as(&setsockopt::noting(&calls), kind, attach_type);
        Self { program, calls }
    }

    pub(crate) const fn program(&self) -> &Foreign {
        &self.program
    }

    /// Forgets what it saw.
    pub(crate) fn forget(&self) {
        self.calls.set(0, 0);
    }

    /// The options and the first words of the values that it saw, one by one.
    pub(crate) fn calls(&self) -> Vec<(i32, i32)> {
        let values = self.calls.values();
        let half = |value: u64| i32::from_ne_bytes(u32::try_from(value).unwrap().to_ne_bytes());
        let heard = usize::try_from(values[0]).unwrap();
        assert!(heard < values.len(), "{heard} calls are more than it can note");
        values[1..=heard].iter().map(|call| (half(call >> 32), half(call & 0xffff_ffff))).collect()
    }
}

/// Keeps the program attached until it is dropped.
pub(crate) struct Attachment<'a> {
    program: &'a Foreign,
    cgroup: File,
    link: Option<OwnedFd>,
}

impl Foreign {
    /// Loads one that asks for ECN and for a small receive window. It returns `verdict` to every callback: 1, or 0 to
    /// have its own replies refused.
    pub(crate) fn load(verdict: i32) -> Self {
        let attach_type = BPF_CGROUP_SOCK_OPS as u32;
        Self::load_as(&instructions(verdict), BPF_PROG_TYPE_SOCK_OPS as u32, attach_type)
    }

    /// Loads one for the calls that set an option.
    pub(crate) fn load_setsockopt(option: (i32, i32), effect: Effect) -> Self {
        let attach_type = BPF_CGROUP_SETSOCKOPT as u32;
        Self::load_as(&effect.instructions(option), BPF_PROG_TYPE_CGROUP_SOCKOPT as u32, attach_type)
    }

    /// Loads one for the calls that ask for an option.
    pub(crate) fn load_getsockopt(option: (i32, i32), effect: Effect) -> Self {
        let attach_type = BPF_CGROUP_GETSOCKOPT as u32;
        Self::load_as(&effect.instructions(option), BPF_PROG_TYPE_CGROUP_SOCKOPT as u32, attach_type)
    }

    /// Loads two that have connections and datagrams to a service go to its backend.
    pub(crate) fn load_service(service: SocketAddrV4, backend: SocketAddrV4) -> [Self; 2] {
        let code = address::instructions(service, backend);
        [BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_UDP4_SENDMSG].map(|attach_type| {
            Self::load_as(&code, BPF_PROG_TYPE_CGROUP_SOCK_ADDR as u32, attach_type as u32)
        })
    }

    fn load_as(program: &[[u8; 8]], prog_type: u32, attach_type: u32) -> Self {
        let mut attr = bpf::attr();
        attr.__bindgen_anon_3.prog_type = prog_type;
        attr.__bindgen_anon_3.insn_cnt = u32::try_from(program.len()).unwrap();
        attr.__bindgen_anon_3.insns = program.as_ptr() as u64;
        attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
        attr.__bindgen_anon_3.expected_attach_type = attach_type;
        let program = bpf::open(bpf_cmd::BPF_PROG_LOAD, &mut attr).unwrap();
        Self { program, attach_type }
    }

    /// A program that somebody pinned.
    pub(crate) fn pinned(path: &Path) -> Self {
        Self { program: bpf::pinned(path).unwrap(), attach_type: BPF_CGROUP_SOCK_OPS as u32 }
    }

    /// The program's id in the kernel.
    pub(crate) fn id(&self) -> u32 {
        bpf::info(self.program.as_fd()).unwrap().id
    }

    /// Attaches it.
    pub(crate) fn attach(&self, cgroup: &Cgroup, way: Way) -> io::Result<Attachment<'_>> {
        let directory = File::open(cgroup.path())?;
        let flags = match way {
            Way::Alone => 0,
            Way::Override => 1,
            Way::Multi => 2,
            Way::Link => {
                let link = bpf::link(self.program.as_fd(), cgroup, self.attach_type)?;
                return Ok(Attachment { program: self, cgroup: directory, link: Some(link) });
            }
        };
        let mut attr = attach_attr(self, &directory);
        attr.__bindgen_anon_5.attach_flags = flags;
        bpf::call(bpf_cmd::BPF_PROG_ATTACH, &mut attr)?;
        Ok(Attachment { program: self, cgroup: directory, link: None })
    }
}

impl Drop for Attachment<'_> {
    fn drop(&mut self) {
        if self.link.is_none() {
            // The cgroup, and the attachment with it, may be gone already.
            let _ = bpf::call(bpf_cmd::BPF_PROG_DETACH, &mut attach_attr(self.program, &self.cgroup));
        }
    }
}

/// `if op == RWND_INIT { reply = 10 } else if op == NEEDS_ECN { reply = 1 }; verdict`
fn instructions(verdict: i32) -> Vec<[u8; 8]> {
    const RWND_INIT: i32 = 2;
    const NEEDS_ECN: i32 = 6;
    /// Where `reply` is in the context; `op` is at its start.
    const REPLY: i16 = 4;
    let window = i32::try_from(WINDOW_SEGMENTS).unwrap();
    let mut code = Assembler::new();
    code.load(Width::Word, 2, CONTEXT, 0);
    for (op, reply, label) in [(NEEDS_ECN, 1, "window"), (RWND_INIT, window, "end")] {
        code.jump_unless(2, op, label);
        code.set(3, reply);
        code.store(Width::Word, CONTEXT, REPLY, 3);
        code.label(label);
    }
    code.end(verdict);
    code.finish()
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> [u8; 8] {
    let [offset_0, offset_1] = offset.to_ne_bytes();
    let [immediate_0, immediate_1, immediate_2, immediate_3] = immediate.to_ne_bytes();
    let registers =
        if cfg!(target_endian = "little") { destination | source << 4 } else { source | destination << 4 };
    [code, registers, offset_0, offset_1, immediate_0, immediate_1, immediate_2, immediate_3]
}

fn attach_attr(foreign: &Foreign, cgroup: &File) -> bpf_attr {
    let mut attr = bpf::attr();
    attr.__bindgen_anon_5.__bindgen_anon_1.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_5.attach_bpf_fd = foreign.program.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_5.attach_type = foreign.attach_type;
    attr
}
