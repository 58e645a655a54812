//! Loading a program so that the verifier tells what it did: aya asks it only where it refuses one.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya_obj::{
    Function,
    generated::{bpf_attach_type, bpf_cmd, bpf_prog_type},
};

use super::{bpf, zeroed_attr};

/// `BPF_LOG_STATS`
const STATISTICS: u32 = 4;
/// More than the statistics and the last words of a refusal take.
const LOG_BYTES: u32 = 1 << 16;

/// A program, ready to be loaded.
pub(crate) struct Program<'a> {
    pub(crate) kind: bpf_prog_type,
    pub(crate) attach_type: bpf_attach_type,
    /// The type of the kernel's that it hangs on; 0 for none.
    pub(crate) attach_btf_id: u32,
    pub(crate) function: &'a Function,
    pub(crate) license: &'a std::ffi::CStr,
    /// The types of the object, which tell the verifier what its functions take.
    pub(crate) types: BorrowedFd<'a>,
}

/// Loads the types of an object.
pub(crate) fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_7.btf = types.as_ptr() as u64;
    attr.__bindgen_anon_7.btf_size = u32::try_from(types.len()).map_err(io::Error::other)?;
    let fd = bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr)?;
    // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads a program; whether or not the kernel takes it, there is what the verifier said.
pub(crate) fn load_program(program: &Program<'_>) -> (io::Result<OwnedFd>, String) {
    let Function { instructions, func_info, line_info, func_info_rec_size, line_info_rec_size, .. } =
        program.function;
    let (functions, lines) = (func_info.func_info_bytes(), line_info.line_info_bytes());
    let mut log = vec![0_u8; LOG_BYTES as usize];
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut attr = zeroed_attr();
    // SAFETY: the union is zeroed, which is a value of each of its members.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = program.kind as u32;
    load.expected_attach_type = program.attach_type as u32;
    load.attach_btf_id = program.attach_btf_id;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = count(instructions.len());
    load.license = program.license.as_ptr() as u64;
    load.prog_btf_fd = program.types.as_raw_fd().cast_unsigned();
    load.func_info = functions.as_ptr() as u64;
    load.func_info_cnt = count(func_info.len());
    load.func_info_rec_size = count(*func_info_rec_size);
    load.line_info = lines.as_ptr() as u64;
    load.line_info_cnt = count(line_info.len());
    load.line_info_rec_size = count(*line_info_rec_size);
    load.log_level = STATISTICS;
    load.log_size = LOG_BYTES;
    load.log_buf = log.as_mut_ptr() as u64;
    let loaded = bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr);
    // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
    let loaded = loaded.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    (loaded, String::from_utf8_lossy(&log[..end]).into_owned())
}
