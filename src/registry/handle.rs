//! What C holds: an integer that names a registration, and never an address.
//!
//! This module only packs and unpacks. The registry that a handle is given to decides whether it is valid (`call.rs`).

use std::ffi::c_void;
use std::fmt;

/// How many bits of a handle each part gets.
///
/// | pointer width | index | generation | registry id |
/// | --- | --: | --: | --: |
/// | 64 bits | 24 (16 777 216 slots) | 28 (268 435 455 registrations a slot) | 12 (4095 registries) |
/// | 32 bits | 14 (16 384 slots) | 12 (4095 registrations a slot) | 6 (63 registries) |
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) index_bits: u32,
    pub(super) generation_bits: u32,
    pub(super) id_bits: u32,
}

impl Layout {
    pub(super) const WIDE: Self = Self { index_bits: 24, generation_bits: 28, id_bits: 12 };
    pub(super) const NARROW: Self = Self { index_bits: 14, generation_bits: 12, id_bits: 6 };
    /// The layout of this target.
    pub(super) const HERE: Self = if cfg!(target_pointer_width = "64") { Self::WIDE } else { Self::NARROW };

    pub(super) const fn max_index(self) -> u32 {
        (1 << self.index_bits) - 1
    }

    pub(super) const fn max_generation(self) -> u32 {
        (1 << self.generation_bits) - 1
    }

    pub(super) const fn max_id(self) -> u32 {
        (1 << self.id_bits) - 1
    }

    /// Packs the parts. Each must be within its maximum.
    pub(super) const fn pack(self, index: u32, generation: u32, id: u32) -> u64 {
        debug_assert!(index <= self.max_index() && generation <= self.max_generation() && id <= self.max_id());
        (index as u64)
            | (generation as u64) << self.index_bits
            | (id as u64) << (self.index_bits + self.generation_bits)
    }

    pub(super) const fn index(self, bits: u64) -> u32 {
        (bits & self.max_index() as u64) as u32
    }

    pub(super) const fn generation(self, bits: u64) -> u32 {
        ((bits >> self.index_bits) & self.max_generation() as u64) as u32
    }

    pub(super) const fn id(self, bits: u64) -> u32 {
        ((bits >> (self.index_bits + self.generation_bits)) & self.max_id() as u64) as u32
    }
}

const _: () = assert!(
    cfg!(target_pointer_width = "64") || cfg!(target_pointer_width = "32"),
    "a handle is laid out for 64-bit and 32-bit pointers"
);
const _: () = assert!(
    Layout::HERE.index_bits + Layout::HERE.generation_bits + Layout::HERE.id_bits == usize::BITS,
    "a handle fills a pointer exactly"
);

/// An integer that names a registration. A C library gets it as `void *user_data` and may keep it for ever.
///
/// A handle packs the slot's index, the slot's generation and the registry's id into the width of a pointer. It is
/// never an address: a stale, forged or foreign handle is compared and never dereferenced. A handle is `Copy`, owns
/// nothing, and may be sent to any thread. Zero ([`Handle::NULL`]) is never issued, nor is a generation of 0 or a
/// registry id of 0.
///
/// On 64-bit targets: index 24 bits, generation 28, registry id 12. On 32-bit targets: 14, 12 and 6.
///
/// ```
/// use latecall::registry::{Handle, Registry};
/// static EVENTS: Registry<dyn Fn(u64) + Send + Sync> = Registry::new();
///
/// let registration = EVENTS.register(Box::new(|_| ()));
/// let user_data = registration.handle().as_ptr();
/// assert_eq!(Handle::from_ptr(user_data), registration.handle());
/// assert!(!registration.handle().is_null());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(usize);

impl Handle {
    /// The handle that is never issued: C's `NULL`.
    pub const NULL: Self = Self(0);

    pub(super) const fn pack(index: u32, generation: u32, id: u32) -> Self {
        Self(Layout::HERE.pack(index, generation, id) as usize)
    }

    /// The handle as C's `void *user_data`. The pointer has no provenance and must not be dereferenced.
    #[must_use]
    pub const fn as_ptr(self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.0)
    }

    /// The handle in a `void *user_data` from C. Any pointer is allowed, even one that was never a handle: it is not
    /// dereferenced, and a registry rejects every handle that it did not issue.
    #[must_use]
    pub fn from_ptr(user_data: *mut c_void) -> Self {
        Self(user_data.addr())
    }

    /// The handle as a plain integer.
    #[must_use]
    pub const fn bits(self) -> usize {
        self.0
    }

    /// The handle with these bits; see [`Handle::from_ptr`].
    #[must_use]
    pub const fn from_bits(bits: usize) -> Self {
        Self(bits)
    }

    /// Whether this is [`Handle::NULL`].
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The slot's index: 0 up to 2^24 − 1 (2^14 − 1 on 32-bit targets).
    #[must_use]
    pub const fn index(self) -> u32 {
        Layout::HERE.index(self.0 as u64)
    }

    /// The slot's generation, which counts its registrations: 1 up to 2^28 − 1 (2^12 − 1 on 32-bit targets). 0 in no
    /// issued handle.
    #[must_use]
    pub const fn generation(self) -> u32 {
        Layout::HERE.generation(self.0 as u64)
    }

    /// The id of the registry: 1 up to 4095 (63 on 32-bit targets). 0 in no issued handle.
    #[must_use]
    pub const fn registry_id(self) -> u32 {
        Layout::HERE.id(self.0 as u64)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() {
            return f.write_str("Handle(NULL)");
        }
        write!(f, "Handle(slot {}, generation {}, registry {})", self.index(), self.generation(), self.registry_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the edges of each width, the parts come back unchanged and no part spills into another.
    fn round_trips(layout: Layout) {
        for index in [0, 1, layout.max_index() - 1, layout.max_index()] {
            for generation in [0, 1, layout.max_generation() - 1, layout.max_generation()] {
                for id in [0, 1, layout.max_id() - 1, layout.max_id()] {
                    let bits = layout.pack(index, generation, id);
                    let parts = (layout.index(bits), layout.generation(bits), layout.id(bits));
                    assert_eq!(parts, (index, generation, id), "{layout:?}");
                    assert_eq!(bits == 0, (index, generation, id) == (0, 0, 0), "{layout:?}");
                }
            }
        }
    }

    #[test]
    fn packing_round_trips_at_both_widths() {
        round_trips(Layout::WIDE);
        round_trips(Layout::NARROW);
    }

    #[test]
    fn a_narrow_handle_fits_a_32_bit_pointer_exactly() {
        let n = Layout::NARROW;
        assert_eq!(n.index_bits + n.generation_bits + n.id_bits, 32);
        assert_eq!(n.pack(n.max_index(), n.max_generation(), n.max_id()), u64::from(u32::MAX));
        let w = Layout::WIDE;
        assert_eq!(w.pack(w.max_index(), w.max_generation(), w.max_id()), u64::MAX);
    }
}
