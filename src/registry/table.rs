//! Where slots live: chunks, each as large as all before it together, at addresses that never change.
//!
//! A chunk is allocated when the first slot in it is needed and given back when the registry is dropped, never before:
//! a stale handle may be looked up at any time, and a table that grows does not move what a running call uses (S44).

use super::slot::Slot;
use super::sync::{AtomicPtr, CHUNKS, FIRST_CHUNK, MODELLED, Ordering, array_of, const_fn};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ptr;

pub(super) struct Table<F: ?Sized> {
    /// Where slot 0 would be if the chunk began there; null until the chunk is needed.
    chunks: [AtomicPtr<Slot<F>>; CHUNKS],
    /// The memory of the newest chunk; behind each chunk stands that of the one before. Nobody here looks: it is for those
    /// who ask what in a process is still pointed to (LeakSanitizer, Valgrind), because `chunks` points outside.
    newest: AtomicPtr<u8>,
    /// The table owns closures that several threads share. Atomic pointers are `Send` and `Sync` whatever they point
    /// to; this takes both back, so that only `F: Send` and the `unsafe impl` below give them.
    #[expect(clippy::disallowed_types, reason = "a marker: there is no cell here to go around the seam with")]
    owns: PhantomData<std::cell::UnsafeCell<Box<F>>>,
}

// SAFETY: the table is its slots. To share it among threads is to let each of them run the closure (so `F: Sync`), and
// to let any of them be the last to leave, which drops it (so `F: Send`). Everything else in a slot is atomic.
unsafe impl<F: ?Sized + Send + Sync> Sync for Table<F> {}

/// The chunk of `index`.
#[inline(always)]
const fn chunk_of(index: u32) -> usize {
    ((index | (FIRST_CHUNK as u32 - 1)).ilog2() - (FIRST_CHUNK as u32 - 1).ilog2()) as usize
}

/// The first index in `chunk`, and how many there are.
const fn extent(chunk: usize) -> (usize, usize) {
    match chunk {
        0 => (0, FIRST_CHUNK),
        _ => (FIRST_CHUNK << (chunk - 1), FIRST_CHUNK << (chunk - 1)),
    }
}

/// How many slots all chunks together can hold.
pub(super) const MOST: usize = FIRST_CHUNK << (CHUNKS - 1);

const _: () = assert!(FIRST_CHUNK.is_power_of_two() && FIRST_CHUNK > 1);

/// What `get_near` finds.
pub(super) enum Near<'t, F: ?Sized> {
    Here(&'t Slot<F>),
    /// There is no first chunk.
    Nowhere,
    /// Not in the first chunk: ask `get`.
    Beyond,
}

impl<F: ?Sized> Table<F> {
    const_fn! {
        /// A table without storage.
        pub(super) const fn new() -> Self {
            Self {
                chunks: array_of![AtomicPtr::new(ptr::null_mut()); CHUNKS],
                newest: AtomicPtr::new(ptr::null_mut()),
                owns: PhantomData,
            }
        }
    }

    /// The slot at `index` if it is in the first chunk. Most registries never need a second one, and finding out which one
    /// it is takes longer than the rest of a call.
    #[inline(always)]
    pub(super) fn get_near(&self, index: u32) -> Near<'_, F> {
        if index as usize >= FIRST_CHUNK {
            return Near::Beyond;
        }
        Self::within(&self.chunks[0], index).map_or(Near::Nowhere, Near::Here)
    }

    /// The slot at `index` if its chunk exists.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Slot<F>> {
        Self::within(self.chunks.get(chunk_of(index))?, index)
    }

    #[inline(always)]
    fn within(chunk: &AtomicPtr<Slot<F>>, index: u32) -> Option<&Slot<F>> {
        // Acquire pairs with the Release of `ensure`: whoever sees the chunk sees its slots initialised.
        let origin = chunk.load(Ordering::Acquire);
        if origin.is_null() {
            return None;
        }
        let slot = origin.wrapping_add(index as usize);
        // SAFETY: `slot` points into an allocation, see below.
        unsafe { std::hint::assert_unchecked(!slot.is_null()) };
        // SAFETY: the chunk's slots are where `ensure` says, `index` is one of them, the slot was initialised before
        // `origin` was stored, lives until the table is dropped, which borrows it exclusively, and is only ever shared.
        Some(unsafe { &*slot })
    }

    /// Makes sure that the chunk of `index` exists; `None` when memory for it cannot be had.
    ///
    /// Called by one thread at a time: the registry's lock is held.
    pub(super) fn ensure(&self, index: u32) -> Option<&Slot<F>> {
        let place = self.chunks.get(chunk_of(index))?;
        // Relaxed: only the holder of the registry's lock writes here, and that lock is held.
        if place.load(Ordering::Relaxed).is_null() {
            let (start, length) = extent(chunk_of(index));
            let first = new_slots(length, &self.newest)?;
            if start == 0 {
                // SAFETY: the first of at least one slot, which nobody else knows of.
                unsafe { &*first }.forbid_null();
            }
            // Where slot 0 would be if this chunk went back to it, so that finding a slot is one addition. (Should that be
            // the address 0, the chunk is as good as not there: registering says that there is no memory.)
            // Release pairs with the Acquire of `get`.
            place.store(first.wrapping_sub(start), Ordering::Release);
        }
        self.get(index)
    }
}

/// The layout of the memory of `length` slots: room for one more, so that they can be aligned to their size in it. Asking
/// for that alignment outright would have the allocator write the whole chunk, where zeroed memory of an ordinary alignment
/// comes from the system as it is used.
fn memory_of<F: ?Sized>(length: usize) -> Option<Layout> {
    let size = length.checked_add(1)?.checked_mul(size_of::<Slot<F>>())?;
    Layout::from_size_align(size, SLOT_SIZE / 2).ok()
}

/// Memory of `length` slots that never had a tenant, linked to that of `newest`. The registry's lock is held.
fn new_slots<F: ?Sized>(length: usize, newest: &AtomicPtr<u8>) -> Option<*mut Slot<F>> {
    if MODELLED {
        let mut slots: Vec<Slot<F>> = Vec::new();
        slots.try_reserve_exact(length).ok()?;
        slots.extend((0..length).map(|_| Slot::new()));
        return Some(Box::into_raw(slots.into_boxed_slice()).cast());
    }
    // SAFETY: the layout's size is not 0.
    let memory = unsafe { alloc_zeroed(memory_of::<F>(length)?) };
    if memory.is_null() {
        return None;
    }
    // What `Slot::new` makes may as well be all zero: a word of 0, and room for a closure that nobody reads.
    let first: *mut Slot<F> = memory.wrapping_add(memory.align_offset(SLOT_SIZE)).cast();
    // Relaxed, both: only the holder of the lock comes here.
    let older = newest.load(Ordering::Relaxed);
    // SAFETY: aligned to its size, the chunk ends half a slot before the end of the memory or more: the memory is aligned to
    // half of that. Two pointers fit there.
    unsafe { behind(first, length).write([memory, older]) };
    newest.store(memory, Ordering::Relaxed);
    Some(first)
}

/// Four words, with the closure whatever it is.
const SLOT_SIZE: usize = 4 * size_of::<usize>();

/// Where a chunk says what memory it is in, and what memory the one before is in.
fn behind<F: ?Sized>(first: *mut Slot<F>, length: usize) -> *mut [*mut u8; 2] {
    first.wrapping_add(length).cast()
}

/// Gives the memory of a chunk back.
///
/// # Safety
/// 1. `first` is from `new_slots` of the same length, and is not used after this.
unsafe fn give_back<F: ?Sized>(first: *mut Slot<F>, length: usize) {
    if MODELLED {
        // SAFETY: (1) exactly this slice came out of `Box::into_raw`.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(first, length)) });
        return;
    }
    let Some(layout) = memory_of::<F>(length) else { unreachable!("a layout that was allocated") };
    // SAFETY: by (1) `new_slots` wrote it there.
    let [memory, _] = unsafe { behind(first, length).read() };
    // SAFETY: by (1) allocated with this layout. Slots have no destructor over std.
    unsafe { dealloc(memory, layout) };
}

impl<F: ?Sized> Drop for Table<F> {
    fn drop(&mut self) {
        for (chunk, place) in self.chunks.iter().enumerate() {
            // Relaxed: the table is borrowed exclusively, which already orders every use before this.
            let origin = place.load(Ordering::Relaxed);
            if !origin.is_null() {
                let (start, length) = extent(chunk);
                // SAFETY: (1) `ensure` got it there with this length; the table is going.
                unsafe { give_back(origin.wrapping_add(start), length) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::handle::Handle;
    use super::*;

    #[test]
    fn every_index_has_its_own_place_inside_its_chunk() {
        let (mut chunk, mut place) = (0, 0);
        for index in 0..(FIRST_CHUNK * 16) as u32 {
            let (start, length) = extent(chunk_of(index));
            assert_eq!((chunk_of(index), index as usize - start), (chunk, place), "index {index}");
            place += 1;
            if place == length {
                (chunk, place) = (chunk + 1, 0);
            }
        }
    }

    /// What the first look of a call relies on: no handle that leads to a slot is the word of a slot that never had a
    /// tenant, NULL and slot 0 included; and no slot lies across two cache lines.
    #[test]
    fn slots_that_never_had_a_tenant_admit_nobody() {
        if MODELLED {
            return; // There are no models here; loom's slots exist inside a model only.
        }
        let table: Table<dyn Fn()> = Table::new();
        assert!(table.get(0).is_none());
        for index in [0, 1, 2, 5, FIRST_CHUNK as u32 - 1, FIRST_CHUNK as u32, FIRST_CHUNK as u32 * 2 + 77] {
            let slot = table.ensure(index).expect("there is memory");
            assert_eq!((&raw const *slot).addr() % SLOT_SIZE, 0);
            assert!(ptr::eq(slot, table.get(index).expect("it exists")));
            assert_eq!((slot.word(index).generation(), slot.word(index).has_closure()), (0, false));
            for (generation, id) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let handle = Handle::pack(index, generation, id);
                assert!(!slot.admits(handle), "{handle:?}");
            }
        }
    }

    #[test]
    fn the_chunks_together_hold_what_an_index_can_name() {
        let sum: usize = (0..CHUNKS).map(|chunk| extent(chunk).1).sum();
        assert_eq!(sum, MOST);
        assert_eq!(chunk_of(MOST as u32 - 1), CHUNKS - 1);
        if !MODELLED {
            assert!(MOST > super::super::handle::Layout::HERE.max_index() as usize);
        }
    }
}
