//! As much of BTF as it takes to find a field (`Documentation/bpf/btf.rst` of the kernel): a list of types, each with its
//! name's place among the strings, its kind, and what that kind has besides.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

const MAGIC: u16 = 0xeb9f;

/// The kinds, as far as they are told apart here.
const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// Types, as the kernel describes them in its own byte order.
#[derive(Debug)]
pub(crate) struct Btf<'a> {
    strings: &'a [u8],
    /// By id; the first is that of `void`.
    types: Vec<Type<'a>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Type<'a> {
    name: u32,
    kind: u32,
    /// Whether the members' offsets share their word with the sizes of bit fields.
    has_bit_fields: bool,
    /// What follows: the members, for a structure or a union.
    rest: &'a [u8],
}

impl<'a> Btf<'a> {
    /// Reads a whole description.
    ///
    /// # Errors
    /// If it is none, or has kinds of types that came later.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let magic = bytes.first_chunk().map(|magic| u16::from_ne_bytes(*magic));
        ensure!(magic == Some(MAGIC), "it is not BTF");
        // The header: magic, version and flags in one word; its length; offset and length of types and strings.
        let header: Vec<usize> = (1..6).map(|at| size(bytes, at)).collect::<Result<_>>()?;
        let [length, types, types_length, strings, strings_length] = header[..] else {
            bail!("it has no header")
        };
        let section = |start: usize, length: usize| {
            bytes.get(start..).and_then(|rest| rest.get(..length)).context("it is cut off")
        };
        let mut rest = section(length + types, types_length)?;
        let mut types = vec![Type::default()];
        while !rest.is_empty() {
            let (found, tail) = read_type(rest)?;
            types.push(found);
            rest = tail;
        }
        Ok(Self { strings: section(length + strings, strings_length)?, types })
    }

    /// The offset of a field in a structure, in bytes. Fields of anonymous members are the structure's own; those of
    /// members with a name are named after them and a point.
    ///
    /// # Errors
    /// If there is no such structure, or no such field in it, or it is a bit field.
    pub(crate) fn offset(&self, structure: &str, field: &str) -> Result<u64> {
        let of = self
            .types
            .iter()
            .find(|of| of.kind == STRUCT && self.is_named(of.name, structure))
            .ok_or_else(|| anyhow!("this kernel has no `struct {structure}`"))?;
        let mut bits = 0;
        let mut of = Some(of);
        for name in field.split('.') {
            let found = of.map(|of| self.find(of, name, &mut BTreeSet::new())).transpose()?.flatten();
            let (further, id) =
                found.ok_or_else(|| anyhow!("this kernel's `struct {structure}` has no field {field}"))?;
            bits = sum(bits, further)?;
            of = self.compound(id);
        }
        ensure!(
            bits.is_multiple_of(8),
            "the field {field} of this kernel's `struct {structure}` is a bit field"
        );
        Ok(u64::from(bits / 8))
    }

    /// The offset of a field in bits, and the id of its type. What was `seen` among the anonymous members does not have
    /// it, and is not looked into again: nothing that contains itself, however often, keeps this busy.
    fn find(&self, of: &Type<'_>, field: &str, seen: &mut BTreeSet<u32>) -> Result<Option<(u32, u32)>> {
        let (members, _) = of.rest.as_chunks::<MEMBER>();
        for member in members {
            let [name, id, place] = [0, 1, 2].map(|at| word(member, at).unwrap_or(0));
            // The upper byte is then the size of a bit field.
            let bits = if of.has_bit_fields { place & 0xff_ffff } else { place };
            if self.is_named(name, field) {
                return Ok(Some((bits, id)));
            }
            if self.is_named(name, "")
                && let Some(inner) = self.compound(id).filter(|_| seen.insert(id))
                && let Some((further, id)) = self.find(inner, field, seen)?
            {
                return Ok(Some((sum(bits, further)?, id)));
            }
        }
        Ok(None)
    }

    /// A structure or union by its id.
    fn compound(&self, id: u32) -> Option<&Type<'a>> {
        let of = usize::try_from(id).ok().and_then(|id| self.types.get(id));
        of.filter(|of| matches!(of.kind, STRUCT | UNION))
    }

    fn is_named(&self, name: u32, expected: &str) -> bool {
        let name = usize::try_from(name).ok().and_then(|at| self.strings.get(at..));
        let rest = name.and_then(|name| name.strip_prefix(expected.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn sum(bits: u32, further: u32) -> Result<u32> {
    bits.checked_add(further).context("it has a field beyond the end of any structure")
}

/// The length of a member of a structure: name, type and offset.
const MEMBER: usize = 3 * size_of::<u32>();

fn read_type(bytes: &[u8]) -> Result<(Type<'_>, &[u8])> {
    let [name, info] = [word(bytes, 0)?, word(bytes, 1)?];
    let kind = info >> 24 & 0x1f;
    let count = (info & 0xffff) as usize;
    // Besides the three words that all have. By kind: pointers, forwards, names for and qualifiers of types, functions
    // and floats; integers, variables and tags; enumerations and parameters, by number; structures, unions, sections and
    // large enumerations, by number; arrays.
    let length = match kind {
        2 | 7..=12 | 16 | 18 => 0,
        1 | 14 | 17 => 4,
        6 | 13 => count * 8,
        STRUCT | UNION | 15 | 19 => count * MEMBER,
        3 => 12,
        _ => bail!("it has a kind of type ({kind}) that this version does not know"),
    };
    let (rest, tail) =
        bytes.get(12..).and_then(|rest| rest.split_at_checked(length)).context("it is cut off")?;
    Ok((Type { name, kind, has_bit_fields: info >> 31 != 0, rest }, tail))
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let (words, _) = bytes.as_chunks();
    words.get(at).map(|word| u32::from_ne_bytes(*word)).context("it is cut off")
}

fn size(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(usize::try_from(word(bytes, at)?)?)
}

#[cfg(test)]
mod tests;
