//! A matcher of globs that tries everything, for few bytes.

/// A part of a glob.
#[derive(Clone, Debug)]
enum Part {
    Byte(u8),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `**` as a whole component, with what separates it.
    Components(Place),
    /// `[a-z]`: ranges, and whether it is all but them.
    Class(Vec<(u8, u8)>, bool),
    /// `{a,b}`
    Alternatives(Vec<Vec<Part>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `**/` at the beginning.
    First,
    /// `/**/`
    Middle,
    /// `/**` at the end.
    Last,
    /// Nothing else is there.
    Alone,
}

/// Whether a glob that was taken matches all of `text`; `None` if this takes too long, or is not for such a glob: what
/// `**` is among alternatives is nowhere written.
pub(super) fn matches(glob: &str, text: &str, has_components: bool) -> Option<bool> {
    if glob.contains("**") && glob.contains('{') {
        return None;
    }
    let mut steps = 10_000;
    is_match(&parse(glob.as_bytes(), &mut 0, false), text.as_bytes(), has_components, &mut steps)
}

fn parse(glob: &[u8], at: &mut usize, is_nested: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(&byte) = glob.get(*at) {
        match byte {
            b',' | b'}' if is_nested => break,
            b'?' => parts.push(Part::Any),
            b'[' => parts.push(class(glob, at)),
            b'{' => {
                let mut alternatives = Vec::new();
                loop {
                    *at += 1;
                    alternatives.push(parse(glob, at, true));
                    if glob.get(*at) != Some(&b',') {
                        break;
                    }
                }
                parts.push(Part::Alternatives(alternatives));
            }
            b'*' => star(glob, at, &mut parts),
            _ => parts.push(Part::Byte(byte)),
        }
        *at += 1;
    }
    parts
}

/// Leaves `at` on the last byte that it took.
fn star(glob: &[u8], at: &mut usize, parts: &mut Vec<Part>) {
    let before = at.checked_sub(1).map(|before| glob[before]);
    let [second, after] = [1, 2].map(|by| glob.get(*at + by));
    let begins = before.is_none_or(|byte| byte == b'/');
    let ends = after.is_none_or(|byte| *byte == b'/');
    if second != Some(&b'*') || !begins || !ends {
        return parts.push(Part::Star);
    }
    // What is before and after it, and separates it, is part of it.
    *at += 1 + usize::from(after.is_some());
    let place = match (parts.pop(), after) {
        (None, None) => Place::Alone,
        (None, Some(_)) => Place::First,
        // One after another is one.
        (Some(Part::Components(Place::First)), Some(_)) => Place::First,
        (Some(Part::Components(Place::First)), None) => Place::Alone,
        (Some(_), Some(_)) => Place::Middle,
        (Some(_), None) => Place::Last,
    };
    parts.push(Part::Components(place));
}

fn class(glob: &[u8], at: &mut usize) -> Part {
    *at += 1;
    let is_negated = matches!(glob.get(*at), Some(b'!' | b'^'));
    *at += usize::from(is_negated);
    let start = *at;
    // A `]` that comes first stands for itself.
    let length = glob[start..].iter().skip(1).position(|byte| *byte == b']').map_or(0, |length| length + 1);
    let mut body = &glob[start..start + length];
    *at = start + length;
    let mut ranges = Vec::new();
    while let [first, rest @ ..] = body {
        match rest {
            [b'-', last, rest @ ..] => {
                ranges.push((*first, *last));
                body = rest;
            }
            _ => {
                ranges.push((*first, *first));
                body = rest;
            }
        }
    }
    Part::Class(ranges, is_negated)
}

fn is_match(parts: &[Part], text: &[u8], has_components: bool, steps: &mut u32) -> Option<bool> {
    *steps = steps.checked_sub(1)?;
    let Some((part, rest)) = parts.split_first() else { return Some(text.is_empty()) };
    let is_one = |byte: u8| !has_components || byte != b'/';
    // How much of the text the part may stand for.
    let lengths: Vec<usize> = match part {
        Part::Alternatives(alternatives) => {
            for alternative in alternatives {
                let parts: Vec<Part> = alternative.iter().chain(rest).cloned().collect();
                if is_match(&parts, text, has_components, steps)? {
                    return Some(true);
                }
            }
            return Some(false);
        }
        Part::Byte(byte) => Vec::from_iter((text.first() == Some(byte)).then_some(1)),
        Part::Any => Vec::from_iter(text.first().is_some_and(|byte| is_one(*byte)).then_some(1)),
        Part::Class(ranges, is_negated) => {
            let is_in = |byte: &u8| ranges.iter().any(|(from, to)| (from..=to).contains(&byte));
            Vec::from_iter(text.first().is_some_and(|byte| is_in(byte) != *is_negated).then_some(1))
        }
        Part::Star => (0..=text.iter().take_while(|byte| is_one(**byte)).count()).collect(),
        Part::Components(Place::Alone) => vec![text.len()],
        Part::Components(Place::First) => {
            (0..=text.len()).filter(|end| *end == 0 || text[end - 1] == b'/').collect()
        }
        Part::Components(Place::Middle) => {
            (1..=text.len()).filter(|end| text[0] == b'/' && text[end - 1] == b'/').collect()
        }
        Part::Components(Place::Last) => Vec::from_iter((text.first() == Some(&b'/')).then_some(text.len())),
    };
    for length in lengths {
        if is_match(rest, &text[length..], has_components, steps)? {
            return Some(true);
        }
    }
    Some(false)
}
