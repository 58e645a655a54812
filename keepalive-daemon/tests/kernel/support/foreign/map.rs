//! Maps of foreign programs, in which they note what they see.

use std::os::fd::{AsRawFd as _, OwnedFd};

use aya_obj::generated::{
    bpf_cmd,
    bpf_map_type::{BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_SOCKHASH},
};

use xtask::lab::bpf;

/// A map with values of eight bytes. Keys are numbers: of those that have four bytes the lower half, which comes first
/// on all machines that these tests are for.
pub(super) struct Map {
    descriptor: OwnedFd,
}

impl Map {
    /// By index, from 0.
    pub(super) fn array(entries: u32) -> Self {
        Self::create(BPF_MAP_TYPE_ARRAY as u32, 4, entries)
    }

    /// By a number of eight bytes.
    pub(super) fn hash(entries: u32) -> Self {
        Self::create(BPF_MAP_TYPE_HASH as u32, 8, entries)
    }

    /// Of sockets, by a number of eight bytes.
    pub(super) fn sockets(entries: u32) -> Self {
        Self::create(BPF_MAP_TYPE_SOCKHASH as u32, 8, entries)
    }

    fn create(map_type: u32, key_size: u32, entries: u32) -> Self {
        let mut attr = bpf::attr();
        attr.__bindgen_anon_1.map_type = map_type;
        attr.__bindgen_anon_1.key_size = key_size;
        attr.__bindgen_anon_1.value_size = 8;
        attr.__bindgen_anon_1.max_entries = entries;
        Self { descriptor: bpf::open(bpf_cmd::BPF_MAP_CREATE, &mut attr).unwrap() }
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }

    /// All keys.
    pub(super) fn keys(&self) -> Vec<u64> {
        let mut keys = Vec::new();
        let (mut key, mut next) = ([0_u8; 8], [0_u8; 8]);
        loop {
            let mut attr = bpf::attr();
            attr.__bindgen_anon_2.map_fd = self.descriptor.as_raw_fd().cast_unsigned();
            attr.__bindgen_anon_2.key = if keys.is_empty() { 0 } else { key.as_ptr() as u64 };
            attr.__bindgen_anon_2.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
            if bpf::call(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr).is_err() {
                return keys;
            }
            key = next;
            keys.push(u64::from_ne_bytes(key));
        }
    }

    /// The values of all keys, in their order.
    pub(super) fn values(&self) -> Vec<u64> {
        self.keys().into_iter().filter_map(|key| self.get(key)).collect()
    }

    /// Forgets all of a map that is no array.
    pub(super) fn clear(&self) {
        for key in self.keys() {
            let mut attr = bpf::attr();
            attr.__bindgen_anon_2.map_fd = self.descriptor.as_raw_fd().cast_unsigned();
            attr.__bindgen_anon_2.key = std::ptr::from_ref(&key) as u64;
            bpf::call(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr).unwrap();
        }
    }

    /// Puts a value in the place of another.
    pub(super) fn set(&self, key: u64, value: u64) {
        let mut attr = bpf::attr();
        attr.__bindgen_anon_2.map_fd = self.descriptor.as_raw_fd().cast_unsigned();
        attr.__bindgen_anon_2.key = std::ptr::from_ref(&key) as u64;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = std::ptr::from_ref(&value) as u64;
        bpf::call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).unwrap();
    }

    fn get(&self, key: u64) -> Option<u64> {
        let mut value = 0_u64;
        let mut attr = bpf::attr();
        attr.__bindgen_anon_2.map_fd = self.descriptor.as_raw_fd().cast_unsigned();
        attr.__bindgen_anon_2.key = std::ptr::from_ref(&key) as u64;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = std::ptr::from_mut(&mut value) as u64;
        bpf::call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr).ok()?;
        Some(value)
    }
}
