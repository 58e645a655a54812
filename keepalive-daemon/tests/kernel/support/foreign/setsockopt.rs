//! Programs of other tools for the calls that set or tell one option; they let all others pass.

use aya_obj::generated::bpf_func_id::BPF_FUNC_map_lookup_elem;

use super::{
    assembler::{Assembler, CONTEXT, FRAME, RESULT, Width},
    map::Map,
};

/// Where these are in the context.
const OPTVAL: i16 = 8;
const OPTVAL_END: i16 = 16;
const LEVEL: i16 = 24;
const OPTNAME: i16 = 28;
const OPTLEN: i16 = 32;

/// What such a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Have the call fail with EPERM.
    Deny,
    /// Put this value in the place of the application's, or of the kernel's.
    Rewrite(i32),
    /// Say that the value is this long: -1 has the call succeed without effect, 0 undoes what programs rewrote.
    Length(i32),
}

impl Effect {
    /// `if level == … && optname == … { … }; 1`
    pub(super) fn instructions(self, (level, name): (i32, i32)) -> Vec<[u8; 8]> {
        let mut code = Assembler::new();
        code.load(Width::Word, 2, CONTEXT, LEVEL);
        code.jump_unless(2, level, "pass");
        code.load(Width::Word, 2, CONTEXT, OPTNAME);
        code.jump_unless(2, name, "pass");
        match self {
            Self::Deny => code.end(0),
            Self::Rewrite(value) => {
                word_of_value(&mut code, 2, "pass");
                code.set(5, value);
                code.store(Width::Word, 2, 0, 5);
            }
            Self::Length(length) => {
                code.set(2, length);
                code.store(Width::Word, CONTEXT, OPTLEN, 2);
            }
        }
        code.label("pass");
        code.end(1);
        code.finish()
    }
}

/// Puts the address of the option's value into a register, if it has four bytes.
fn word_of_value(code: &mut Assembler, register: u8, otherwise: &'static str) {
    code.load(Width::Double, register, CONTEXT, OPTVAL);
    code.load(Width::Double, 3, CONTEXT, OPTVAL_END);
    code.copy(4, register);
    code.add(4, 4);
    code.jump_if_greater(4, 3, otherwise);
}

/// A program that notes the option and the first word of each call: `calls[calls[0] += 1] = optname << 32 | value`.
pub(super) fn noting(calls: &Map) -> Vec<[u8; 8]> {
    const INDEX: i16 = -4;
    const NOTE: u8 = 7;
    let mut code = Assembler::new();
    let look_up = |code: &mut Assembler| {
        code.map(1, calls.descriptor());
        code.on_stack(2, INDEX.into());
        code.call(BPF_FUNC_map_lookup_elem as i32);
        code.jump_if(RESULT, 0, "pass");
    };
    code.load(Width::Word, NOTE, CONTEXT, OPTNAME);
    code.shift_left(NOTE, 32);
    word_of_value(&mut code, 2, "short");
    code.load(Width::Word, 2, 2, 0);
    code.or(NOTE, 2);
    code.label("short");
    code.set(2, 0);
    code.store(Width::Word, FRAME, INDEX, 2);
    look_up(&mut code);
    code.load(Width::Double, 1, RESULT, 0);
    code.add(1, 1);
    code.store(Width::Double, RESULT, 0, 1);
    code.store(Width::Word, FRAME, INDEX, 1);
    look_up(&mut code);
    code.store(Width::Double, RESULT, 0, NOTE);
    code.label("pass");
    code.end(1);
    code.finish()
}
