//! A `sock_ops` program that does all that Cilium's and bpftune's do: it replies, asks for further callbacks, sets
//! options of its own, puts sockets into a map of sockets, and notes what it is called for.

use aya_obj::generated::{
    bpf_attach_type::BPF_CGROUP_SOCK_OPS,
    bpf_func_id::{
        BPF_FUNC_get_socket_cookie, BPF_FUNC_map_lookup_elem, BPF_FUNC_map_update_elem, BPF_FUNC_setsockopt,
        BPF_FUNC_sock_hash_update, BPF_FUNC_sock_ops_cb_flags_set,
    },
    bpf_prog_type::BPF_PROG_TYPE_SOCK_OPS,
};

use super::{
    Foreign,
    assembler::{Assembler, CONTEXT, FRAME, RESULT, Width},
    map::Map,
};

/// What it replies when it is asked for the initial receive window, in segments.
const WINDOW_SEGMENTS: i32 = 10;
/// The congestion window that it has connections begin with.
const CONGESTION_WINDOW: i32 = 7;
/// The receive buffer that it sets; the kernel doubles it.
const RECEIVE_BUFFER: i32 = 150_000;

/// An option that only programs can set.
const TCP_BPF_IW: i32 = 1001;

/// Where these are in the context.
const OP: i16 = 0;
const REPLY: i16 = 4;

/// What it is called for.
const RWND_INIT: i32 = 2;
const ACTIVE_ESTABLISHED: i32 = 4;
const PASSIVE_ESTABLISHED: i32 = 5;
const NEEDS_ECN: i32 = 6;
/// That it wants to be called when a connection's state changes.
const STATE_FLAG: i32 = 4;

/// Where it keeps these on its stack.
const COOKIE: i16 = -8;
const FIRST: i16 = -16;
const OPTION: i16 = -32;

/// Such a program, and its maps.
pub(crate) struct Tool {
    program: Foreign,
    calls: Map,
    sockets: Map,
}

impl Tool {
    pub(crate) fn load() -> Self {
        let (calls, sockets) = (Map::hash(4096), Map::sockets(4096));
        let code = code(&calls, &sockets);
        let attach_type = BPF_CGROUP_SOCK_OPS as u32;
        let program = Foreign::load_as(&code, BPF_PROG_TYPE_SOCK_OPS as u32, attach_type);
        Self { program, calls, sockets }
    }

    pub(crate) const fn program(&self) -> &Foreign {
        &self.program
    }

    /// What it was called for, a number for each socket with a digit for each call; sorted.
    pub(crate) fn calls(&self) -> Vec<String> {
        let mut calls: Vec<_> = self.calls.values().iter().map(|calls| format!("{calls:x}")).collect();
        calls.sort();
        calls
    }

    /// Forgets what it was called for.
    pub(crate) fn forget(&self) {
        self.calls.clear();
    }

    /// How many sockets are in its map.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.keys().len()
    }
}

fn code(calls: &Map, sockets: &Map) -> Vec<[u8; 8]> {
    const OPERATION: u8 = 7;
    let mut code = Assembler::new();
    code.load(Width::Word, OPERATION, CONTEXT, OP);
    note(&mut code, calls, OPERATION);
    code.jump_if(OPERATION, RWND_INIT, "window");
    code.jump_if(OPERATION, NEEDS_ECN, "ecn");
    code.jump_if(OPERATION, ACTIVE_ESTABLISHED, "established");
    code.jump_if(OPERATION, PASSIVE_ESTABLISHED, "established");
    code.end(1);
    for (label, reply) in [("window", WINDOW_SEGMENTS), ("ecn", 1)] {
        code.label(label);
        code.set(2, reply);
        code.store(Width::Word, CONTEXT, REPLY, 2);
        code.end(1);
    }
    code.label("established");
    code.copy(1, CONTEXT);
    code.set(2, STATE_FLAG);
    code.call(BPF_FUNC_sock_ops_cb_flags_set as i32);
    let reno = i32::from_ne_bytes(*b"reno");
    for (level, name, value, length) in [
        (libc::SOL_TCP, TCP_BPF_IW, CONGESTION_WINDOW, 4),
        (libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER, 4),
        // With a zero at its end, as 5.10 takes whatever else was there to be of the name.
        (libc::SOL_TCP, libc::TCP_CONGESTION, reno, 5),
    ] {
        set_option(&mut code, level, name, value, length);
    }
    code.copy(1, CONTEXT);
    code.map(2, sockets.descriptor());
    code.on_stack(3, COOKIE.into());
    code.set(4, 0);
    code.call(BPF_FUNC_sock_hash_update as i32);
    code.end(1);
    code.finish()
}

/// `calls[cookie] = calls[cookie] << 4 | operation`
fn note(code: &mut Assembler, calls: &Map, operation: u8) {
    let look_up = |code: &mut Assembler| {
        code.map(1, calls.descriptor());
        code.on_stack(2, COOKIE.into());
        code.call(BPF_FUNC_map_lookup_elem as i32);
    };
    code.copy(1, CONTEXT);
    code.call(BPF_FUNC_get_socket_cookie as i32);
    code.store(Width::Double, FRAME, COOKIE, RESULT);
    look_up(code);
    code.jump_unless(RESULT, 0, "known");
    code.set(2, 0);
    code.store(Width::Double, FRAME, FIRST, 2);
    code.map(1, calls.descriptor());
    code.on_stack(2, COOKIE.into());
    code.on_stack(3, FIRST.into());
    code.set(4, 0);
    code.call(BPF_FUNC_map_update_elem as i32);
    look_up(code);
    code.jump_if(RESULT, 0, "noted");
    code.label("known");
    code.load(Width::Double, 1, RESULT, 0);
    code.shift_left(1, 4);
    code.or(1, operation);
    code.store(Width::Double, RESULT, 0, 1);
    code.label("noted");
}

/// `setsockopt(context, level, name, &value, length)`, of a value that is followed by zeros.
fn set_option(code: &mut Assembler, level: i32, name: i32, value: i32, length: i32) {
    code.set(2, value);
    code.store(Width::Double, FRAME, OPTION, 2);
    code.copy(1, CONTEXT);
    code.set(2, level);
    code.set(3, name);
    code.on_stack(4, OPTION.into());
    code.set(5, length);
    code.call(BPF_FUNC_setsockopt as i32);
}
