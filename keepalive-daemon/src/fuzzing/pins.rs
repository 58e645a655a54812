//! What lies in the bpffs and in the maps.

use std::path::Path;

use keepalive_ebpf::{
    COUNTER_WORDS, Counters, DEAD_PEER_BYTES, DeadPeer, OBSERVED_BYTES, Observed, POLICY_WORDS, Policy,
    SWEPT_BYTES, Swept,
};

use super::draw::Draw;
use crate::kernel::readers::{directory_name, is_layout, swept};

/// The longest name of a file.
const NAME_MAX: usize = 255;

/// Reads marks, names, storage and records.
///
/// # Panics
/// If something is read that would not be written, or a name would not do for a bpffs.
pub fn pins(data: &[u8]) {
    let mut draw = Draw::new(data);
    match draw.byte() % 3 {
        0 => texts(draw),
        1 => words(&mut draw),
        _ => records(draw.rest()),
    }
}

fn texts(mut draw: Draw<'_>) {
    let id = draw.number();
    let text = draw.text();
    if let Some(policy) = swept::from_text(&text) {
        assert_eq!(swept::to_text(&policy), text.to_lowercase());
    }
    let name = directory_name(&text, id);
    assert!(name.len() <= NAME_MAX && !name.contains(['/', '.', '\0', '\n']), "{name:?}");
    assert!(name.ends_with(&format!("-{id}")), "{name:?}");
    let is_read = is_layout(Path::new(&text));
    assert!(!is_read || text.trim_end_matches('/').contains("abi"), "{text:?}");
}

/// The storage of a cgroup: a policy comes back as it was written, and counters add up.
fn words(draw: &mut Draw<'_>) {
    let words: [u64; POLICY_WORDS] = std::array::from_fn(|_| draw.number());
    if let Some(policy) = Policy::from_words(&words) {
        assert_eq!(policy.to_words(), words);
        assert_eq!(swept::from_text(&swept::to_text(&policy)), Some(policy));
        assert_eq!(policy.claiming(true).claiming(policy.claims()), policy);
    }
    let counters: [[u64; COUNTER_WORDS]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| draw.number()));
    let counters = counters.map(|words| Counters::from_words(&words));
    assert_eq!(Counters::sum(&counters[..1]), counters[0]);
    assert_eq!(Counters::sum(&counters), Counters::sum(counters.iter().rev()));
}

/// What the programs write one after the other.
fn records(bytes: &[u8]) {
    let (records, _) = bytes.as_chunks::<SWEPT_BYTES>();
    for swept in records.iter().filter_map(Swept::from_bytes) {
        // The two fields that are not integers are named, which no other value would survive.
        assert!(!format!("{swept:?}").is_empty());
    }
    let (records, _) = bytes.as_chunks::<OBSERVED_BYTES>();
    for observed in records.iter().map(Observed::from_bytes) {
        assert!(!format!("{observed:?}").is_empty());
    }
    let (records, _) = bytes.as_chunks::<DEAD_PEER_BYTES>();
    for peer in records.iter().filter_map(DeadPeer::from_bytes) {
        assert!(!format!("{peer:?}").is_empty());
    }
}
