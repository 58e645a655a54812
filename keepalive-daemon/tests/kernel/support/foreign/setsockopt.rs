//! Programs of other tools for the calls that set `TCP_KEEPIDLE`; they let all others pass.

use super::instruction;

/// What such a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Have the call fail with EPERM.
    Deny,
    /// Put this value in the place of the application's.
    Rewrite(i32),
    /// Say that the value is this long: -1 has the call succeed without effect, 0 undoes what programs rewrote.
    Length(i32),
}

impl Effect {
    /// `if level == SOL_TCP && optname == TCP_KEEPIDLE { … }; 1`
    pub(super) fn instructions(self) -> Vec<[u8; 8]> {
        const LOAD: u8 = 0x61;
        const LOAD_POINTER: u8 = 0x79;
        const STORE: u8 = 0x63;
        const SET: u8 = 0xb7;
        const COPY: u8 = 0xbf;
        const ADD: u8 = 0x07;
        const JUMP_UNLESS: u8 = 0x55;
        const JUMP_IF_GREATER: u8 = 0x2d;
        const EXIT: u8 = 0x95;
        const CONTEXT: u8 = 1;
        /// Where these are in the context.
        const OPTVAL: i16 = 8;
        const OPTVAL_END: i16 = 16;
        const LEVEL: i16 = 24;
        const OPTNAME: i16 = 28;
        const OPTLEN: i16 = 32;
        let effect = match self {
            Self::Deny => vec![instruction(SET, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)],
            Self::Rewrite(value) => vec![
                instruction(LOAD_POINTER, 2, CONTEXT, OPTVAL, 0),
                instruction(LOAD_POINTER, 3, CONTEXT, OPTVAL_END, 0),
                instruction(COPY, 4, 2, 0, 0),
                instruction(ADD, 4, 0, 0, 4),
                instruction(JUMP_IF_GREATER, 4, 3, 2, 0),
                instruction(SET, 5, 0, 0, value),
                instruction(STORE, 2, 5, 0, 0),
            ],
            Self::Length(length) => {
                vec![instruction(SET, 2, 0, 0, length), instruction(STORE, CONTEXT, 2, OPTLEN, 0)]
            }
        };
        let over = i16::try_from(effect.len()).unwrap();
        let begin = [
            instruction(LOAD, 2, CONTEXT, LEVEL, 0),
            instruction(JUMP_UNLESS, 2, 0, over + 2, libc::IPPROTO_TCP),
            instruction(LOAD, 2, CONTEXT, OPTNAME, 0),
            instruction(JUMP_UNLESS, 2, 0, over, libc::TCP_KEEPIDLE),
        ];
        let end = [instruction(SET, 0, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)];
        [&begin[..], &effect, &end].concat()
    }
}
