use super::*;

/// What a compiler would write, made by hand.
#[derive(Default)]
struct Builder {
    types: Vec<u32>,
    strings: Vec<u8>,
}

const INT: u32 = 1;

impl Builder {
    fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0] }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len();
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        u32::try_from(at).expect("it is short")
    }

    fn int(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.types.extend([name, INT << 24, 4, 32]);
        self
    }

    /// With members, each with its type's id and its offset in bits.
    fn compound(mut self, kind: u32, flags: u32, name: &str, members: &[(&str, u32, u32)]) -> Self {
        let name = self.name(name);
        let count = u32::try_from(members.len()).expect("they are few");
        self.types.extend([name, flags | kind << 24 | count, 64]);
        for (name, id, bits) in members {
            let name = self.name(name);
            self.types.extend([name, *id, *bits]);
        }
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let types = u32::try_from(4 * self.types.len()).expect("it is short");
        let strings = u32::try_from(self.strings.len()).expect("it is short");
        let mut bytes = Vec::from(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        for word in [24, 0, types, types, strings].iter().chain(&self.types) {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(&self.strings);
        bytes
    }
}

fn example() -> Vec<u8> {
    Builder::new()
        .int("int")
        .compound(STRUCT, 0, "", &[("high", 1, 0), ("low", 1, 32)])
        .compound(UNION, 0, "", &[("whole", 1, 0), ("", 2, 0)])
        .compound(STRUCT, 0, "outer", &[("first", 1, 0), ("", 3, 64), ("inner", 2, 128)])
        .compound(STRUCT, 1 << 31, "bits", &[("flag", 1, 1 << 24 | 3), ("plain", 1, 32)])
        .bytes()
}

#[track_caller]
fn offset(structure: &str, field: &str) -> Result<u64, String> {
    let bytes = example();
    let btf = Btf::parse(&bytes).expect("it is whole");
    btf.offset(structure, field).map_err(|error| format!("{error:#}"))
}

#[test]
fn fields_are_found_also_in_anonymous_members() {
    for (field, expected) in
        [("first", 0), ("whole", 8), ("high", 8), ("low", 12), ("inner", 16), ("inner.low", 20)]
    {
        assert_eq!(offset("outer", field), Ok(expected), "{field}");
    }
    assert_eq!(offset("bits", "plain"), Ok(4));
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(offset("inner", "x"), Err("this kernel has no `struct inner`".to_owned()));
    assert_eq!(offset("outer", "fir"), Err("this kernel's `struct outer` has no field fir".to_owned()));
    for field in ["inner.x", "first.x", "inner."] {
        let error = format!("this kernel's `struct outer` has no field {field}");
        assert_eq!(offset("outer", field), Err(error));
    }
    assert_eq!(
        offset("bits", "flag"),
        Err("the field flag of this kernel's `struct bits` is a bit field".to_owned())
    );
}

#[test]
fn what_contains_itself_keeps_nobody_busy() {
    let twice = |id| [("", id, 0), ("", id, 8)];
    let mut types = Builder::new().compound(STRUCT, 0, "itself", &twice(1));
    for id in 1..=60 {
        types = types.compound(STRUCT, 0, &format!("outer{id}"), &twice(id));
    }
    let bytes = types.bytes();
    let btf = Btf::parse(&bytes).expect("it is whole");

    assert!(btf.offset("itself", "x").is_err() && btf.offset("outer60", "x").is_err());
}

#[test]
fn an_offset_beyond_every_structure_is_refused() {
    let bytes = Builder::new()
        .compound(STRUCT, 0, "inner", &[("x", 2, u32::MAX)])
        .compound(STRUCT, 0, "outer", &[("", 1, 64), ("inner", 1, 64)])
        .bytes();
    let btf = Btf::parse(&bytes).expect("it is whole");

    for field in ["x", "inner.x"] {
        let error = btf.offset("outer", field).expect_err(field);
        assert!(error.to_string().contains("beyond the end"), "{error}");
    }
}

#[test]
fn what_is_no_whole_description_is_refused() {
    let whole = example();
    for bytes in [&whole[..0], &whole[..20], &whole[..whole.len() - 1], &whole[1..]] {
        assert!(Btf::parse(bytes).is_err(), "{} bytes", bytes.len());
    }
    let unknown = Builder::new().compound(31, 0, "x", &[]).bytes();
    let error = Btf::parse(&unknown).expect_err("nothing has this kind");
    assert!(error.to_string().contains("kind of type (31)"), "{error}");
}
