//! Where slots are: in chunks, each as large as all chunks before it together, at addresses that never change.
//!
//! A chunk is allocated when its first slot is needed, and freed when the registry is dropped. It is never freed or
//! moved before that, because a stale handle may be looked up, and a running call may use a slot, while the table
//! grows.

use super::slot::Slot;
use super::sync::{AtomicPtr, CHUNKS, FIRST_CHUNK, MODELLED, Ordering, array_of, const_fn};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ptr;

pub(super) struct Table<F: ?Sized> {
    /// For each chunk, the address that slot 0 would have if the chunk reached back to it; null until the chunk is
    /// needed.
    chunks: [AtomicPtr<Slot<F>>; CHUNKS],
    /// The memory of the newest chunk. Behind each chunk is a pointer to the memory of the chunk before. This code
    /// never reads them: LeakSanitizer and Valgrind do, which would otherwise report a leak, because `chunks` points
    /// outside the memory.
    newest: AtomicPtr<u8>,
    /// The table owns closures that several threads share. Atomic pointers are `Send` and `Sync` whatever they point
    /// to. This marker is neither by itself: the table is `Send` only if `F` is, and `Sync` only by the `unsafe impl`
    /// below.
    #[expect(clippy::disallowed_types, reason = "a marker: there is no cell here to go around the seam with")]
    owns: PhantomData<std::cell::UnsafeCell<Box<F>>>,
}

// SAFETY: a shared table lets several threads run a closure at a time, which takes `F: Sync`, and lets any of them drop
// it, which takes `F: Send`. Everything else in the table and its slots is atomic.
unsafe impl<F: ?Sized + Send + Sync> Sync for Table<F> {}

/// The chunk of `index`.
#[inline(always)]
pub(super) const fn chunk_of(index: u32) -> usize {
    ((index | (FIRST_CHUNK as u32 - 1)).ilog2() - (FIRST_CHUNK as u32 - 1).ilog2()) as usize
}

/// The first index in `chunk`, and how many there are.
pub(super) const fn extent(chunk: usize) -> (usize, usize) {
    match chunk {
        0 => (0, FIRST_CHUNK),
        _ => (FIRST_CHUNK << (chunk - 1), FIRST_CHUNK << (chunk - 1)),
    }
}

/// How many slots all chunks together have.
pub(super) const MOST: usize = FIRST_CHUNK << (CHUNKS - 1);

const _: () = assert!(FIRST_CHUNK.is_power_of_two() && FIRST_CHUNK > 1);

/// What `get_near` finds.
pub(super) enum Near<'t, F: ?Sized> {
    Here(&'t Slot<F>),
    /// There is no first chunk, so there are no slots.
    Nowhere,
    /// The index is not one of the first chunk; `get` finds the slot.
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

    /// The slot at `index` if it is in the first chunk. Most registries never need a second chunk, and to compute the
    /// chunk of an index takes longer than the rest of a call.
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
        // Acquire pairs with the Release in `ensure`: a thread that sees the chunk sees its slots initialised.
        let origin = chunk.load(Ordering::Acquire);
        if origin.is_null() {
            return None;
        }
        let slot = origin.wrapping_add(index as usize);
        // SAFETY: `slot` points into the chunk's allocation, as the next comment says, and no allocation contains
        // address 0.
        unsafe { std::hint::assert_unchecked(!slot.is_null()) };
        // SAFETY: `ensure` stored `origin` such that `origin + index` is the address of slot `index`, for each index of
        // this chunk, and the callers ask for an index of this chunk. `new_slots` initialised the slot before `origin`
        // was stored. The slot lives until the table is dropped, for which it is borrowed exclusively; until then it is
        // only shared.
        Some(unsafe { &*slot })
    }

    /// Allocates the chunk of `index` if it does not exist; `None` if there is no memory. The caller holds the
    /// registry's lock.
    pub(super) fn ensure(&self, index: u32) -> Option<&Slot<F>> {
        let place = self.chunks.get(chunk_of(index))?;
        // Relaxed: it is written only under the registry's lock, which this thread holds.
        if place.load(Ordering::Relaxed).is_null() {
            let (start, length) = extent(chunk_of(index));
            let first = new_slots(length, &self.newest)?;
            if start == 0 {
                // SAFETY: `first` points to `length` initialised slots, at least one, and no other thread has the
                // pointer yet.
                unsafe { &*first }.forbid_null();
            }
            // The address that slot 0 would have, so that finding a slot takes one addition. If this address were 0,
            // the chunk would count as missing, and registering would fail with `Shortage::Memory`.
            // Release pairs with the Acquire in `within`.
            place.store(first.wrapping_sub(start), Ordering::Release);
        }
        self.get(index)
    }
}

/// The layout of the memory of `length` slots. It has room for one slot more, so that the slots can be aligned to their
/// size in it. With that alignment in the layout, the allocator would write zeros over the whole chunk. With an
/// ordinary alignment it gets zeroed pages from the system, which cost nothing until they are used.
fn memory_of<F: ?Sized>(length: usize) -> Option<Layout> {
    let size = length.checked_add(1)?.checked_mul(size_of::<Slot<F>>())?;
    Layout::from_size_align(size, SLOT_SIZE / 2).ok()
}

/// Allocates `length` slots that have never been used, and links them to the memory of `newest`. The caller holds the
/// registry's lock.
fn new_slots<F: ?Sized>(length: usize, newest: &AtomicPtr<u8>) -> Option<*mut Slot<F>> {
    if MODELLED {
        let mut slots: Vec<Slot<F>> = Vec::new();
        slots.try_reserve_exact(length).ok()?;
        slots.extend((0..length).map(|_| Slot::new()));
        return Some(Box::into_raw(slots.into_boxed_slice()).cast());
    }
    // SAFETY: the layout has the size of `length + 1` slots, which is not 0.
    let memory = unsafe { alloc_zeroed(memory_of::<F>(length)?) };
    if memory.is_null() {
        return None;
    }
    // Zero bytes are what `Slot::new` makes: the word 0, and space for a closure, which is not read before `publish`
    // writes it.
    let first: *mut Slot<F> = memory.wrapping_add(memory.align_offset(SLOT_SIZE)).cast();
    // Relaxed, both: it is read and written only under the registry's lock, which this thread holds.
    let older = newest.load(Ordering::Relaxed);
    // SAFETY: the memory is aligned to half a slot and has room for one slot more than the chunk. Aligning the chunk to
    // a whole slot takes at most half a slot of that. Half a slot, which is two pointers, remains behind the chunk, and
    // is aligned for them.
    unsafe { behind(first, length).write([memory, older]) };
    newest.store(memory, Ordering::Relaxed);
    Some(first)
}

/// Four words, whatever the closure's type.
const SLOT_SIZE: usize = 4 * size_of::<usize>();

/// Behind the chunk: the address of the memory that the chunk is in, and that of the memory of the chunk before.
fn behind<F: ?Sized>(first: *mut Slot<F>, length: usize) -> *mut [*mut u8; 2] {
    first.wrapping_add(length).cast()
}

/// Frees a chunk.
///
/// # Safety
/// 1. `first` was returned by `new_slots` for the same `length`, and its slots are not used after this.
unsafe fn free<F: ?Sized>(first: *mut Slot<F>, length: usize) {
    if MODELLED {
        // SAFETY: by clause 1 `new_slots` got this pointer from `Box::into_raw` of a slice of `length` slots, and it is
        // freed once.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(first, length)) });
        return;
    }
    let Some(layout) = memory_of::<F>(length) else { unreachable!("a layout that was allocated") };
    // SAFETY: by clause 1 `new_slots` wrote these two pointers there, and nothing has written there since.
    let [memory, _] = unsafe { behind(first, length).read() };
    // SAFETY: by clause 1 `new_slots` allocated `memory` with this layout. Over std, slots have no destructor to run.
    unsafe { dealloc(memory, layout) };
}

impl<F: ?Sized> Table<F> {
    /// Frees all chunks. Closures in them are not dropped.
    ///
    /// # Safety
    /// 1. No slot is used after this, and no other thread uses the table.
    pub(super) unsafe fn clear(&self) {
        for (chunk, place) in self.chunks.iter().enumerate() {
            // Relaxed: by clause 1 no other thread uses the table.
            let origin = place.load(Ordering::Relaxed);
            if !origin.is_null() {
                place.store(ptr::null_mut(), Ordering::Relaxed);
                let (start, length) = extent(chunk);
                // SAFETY: clause 1 of `free`: `ensure` got `first` from `new_slots` with this `length`, and stored
                // `first - start`. By our clause 1 the slots are not used any more.
                unsafe { free(origin.wrapping_add(start), length) };
            }
        }
    }
}

impl<F: ?Sized> Drop for Table<F> {
    fn drop(&mut self) {
        // SAFETY: clause 1 of `clear`: the table is being dropped, and `&mut self` is exclusive.
        unsafe { self.clear() };
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

    /// The first look of a call relies on this: a slot that has never been used admits no handle, slot 0 and NULL
    /// included. And no slot lies across two cache lines.
    #[test]
    fn slots_that_were_never_used_admit_no_handle() {
        if MODELLED {
            return; // loom's slots can exist only inside a model, and this is none.
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
