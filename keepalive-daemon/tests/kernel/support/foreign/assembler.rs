//! Programs of eBPF, put together an instruction at a time, with names for the places that jumps lead to.

use std::collections::BTreeMap;

use super::instruction;

/// A register that keeps its value over calls; the context, by convention.
pub(super) const CONTEXT: u8 = 6;
/// What a call returns, and the program in the end.
pub(super) const RESULT: u8 = 0;
/// The end of the stack.
pub(super) const FRAME: u8 = 10;

/// How wide a load or a store is.
#[derive(Clone, Copy)]
pub(super) enum Width {
    Word = 0x00,
    Double = 0x18,
}

/// A program that is being written.
#[derive(Default)]
pub(super) struct Assembler {
    code: Vec<[u8; 8]>,
    labels: BTreeMap<&'static str, usize>,
    jumps: Vec<(usize, &'static str)>,
}

impl Assembler {
    /// Begins with the context put where calls leave it.
    pub(super) fn new() -> Self {
        let mut assembler = Self::default();
        assembler.copy(CONTEXT, 1);
        assembler
    }

    fn push(&mut self, code: u8, destination: u8, source: u8, offset: i16, immediate: i32) {
        self.code.push(instruction(code, destination, source, offset, immediate));
    }

    pub(super) fn set(&mut self, register: u8, value: i32) {
        self.push(0xb7, register, 0, 0, value);
    }

    pub(super) fn copy(&mut self, to: u8, from: u8) {
        self.push(0xbf, to, from, 0, 0);
    }

    pub(super) fn add(&mut self, register: u8, value: i32) {
        self.push(0x07, register, 0, 0, value);
    }

    pub(super) fn shift_left(&mut self, register: u8, bits: i32) {
        self.push(0x67, register, 0, 0, bits);
    }

    pub(super) fn or(&mut self, register: u8, other: u8) {
        self.push(0x4f, register, other, 0, 0);
    }

    pub(super) fn load(&mut self, width: Width, to: u8, from: u8, offset: i16) {
        self.push(0x61 | width as u8, to, from, offset, 0);
    }

    pub(super) fn store(&mut self, width: Width, to: u8, offset: i16, from: u8) {
        self.push(0x63 | width as u8, to, from, offset, 0);
    }

    /// Puts the address of a map into a register.
    pub(super) fn map(&mut self, register: u8, descriptor: i32) {
        const OF_DESCRIPTOR: u8 = 1;
        self.push(0x18, register, OF_DESCRIPTOR, 0, descriptor);
        self.push(0, 0, 0, 0, 0);
    }

    /// Puts an address on the stack into a register.
    pub(super) fn on_stack(&mut self, register: u8, offset: i32) {
        self.copy(register, FRAME);
        self.add(register, offset);
    }

    pub(super) fn call(&mut self, helper: i32) {
        self.push(0x85, 0, 0, 0, helper);
    }

    pub(super) fn jump_if(&mut self, register: u8, value: i32, label: &'static str) {
        self.jump(0x15, register, 0, value, label);
    }

    pub(super) fn jump_unless(&mut self, register: u8, value: i32, label: &'static str) {
        self.jump(0x55, register, 0, value, label);
    }

    pub(super) fn jump_if_greater(&mut self, register: u8, other: u8, label: &'static str) {
        self.jump(0x2d, register, other, 0, label);
    }

    fn jump(&mut self, code: u8, register: u8, other: u8, value: i32, label: &'static str) {
        self.jumps.push((self.code.len(), label));
        self.push(code, register, other, 0, value);
    }

    /// The place that jumps of this name lead to.
    pub(super) fn label(&mut self, name: &'static str) {
        self.labels.insert(name, self.code.len());
    }

    /// Ends with a result.
    pub(super) fn end(&mut self, result: i32) {
        self.set(RESULT, result);
        self.push(0x95, 0, 0, 0, 0);
    }

    /// The whole program.
    pub(super) fn finish(mut self) -> Vec<[u8; 8]> {
        for (from, label) in self.jumps {
            let distance = i16::try_from(self.labels[label] - from - 1).unwrap();
            self.code[from][2..4].copy_from_slice(&distance.to_ne_bytes());
        }
        self.code
    }
}
