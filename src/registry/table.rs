//! Where slots live: chunks, each twice as large as the one before, at addresses that never change.
//!
//! A chunk is allocated when the first slot in it is needed and given back when the registry is dropped, never before:
//! a stale handle may be looked up at any time, and a table that grows does not move what a running call uses (S44).

use super::slot::Slot;
use super::sync::{AtomicPtr, CHUNKS, FIRST_CHUNK, Ordering, array_of, const_fn};
use std::marker::PhantomData;
use std::ptr;

pub(super) struct Table<F: ?Sized> {
    /// Chunk `c` holds `FIRST_CHUNK << c` slots; null until it is needed.
    chunks: [AtomicPtr<Slot<F>>; CHUNKS],
    /// The table owns closures that several threads share. Atomic pointers are `Send` and `Sync` whatever they point
    /// to; this takes both back, so that only `F: Send` and the `unsafe impl` below give them.
    #[expect(clippy::disallowed_types, reason = "a marker: there is no cell here to go around the seam with")]
    owns: PhantomData<std::cell::UnsafeCell<Box<F>>>,
}

// SAFETY: the table is its slots. To share it among threads is to let each of them run the closure (so `F: Sync`), and
// to let any of them be the last to leave, which drops it (so `F: Send`). Everything else in a slot is atomic.
unsafe impl<F: ?Sized + Send + Sync> Sync for Table<F> {}

/// The chunk of `index` and the place in it.
const fn locate(index: u32) -> (usize, usize) {
    let block = index as usize / FIRST_CHUNK + 1;
    let chunk = block.ilog2() as usize;
    (chunk, index as usize - FIRST_CHUNK * ((1 << chunk) - 1))
}

/// How many slots all chunks together can hold.
pub(super) const MOST: usize = FIRST_CHUNK * ((1 << CHUNKS) - 1);

impl<F: ?Sized> Table<F> {
    const_fn! {
        /// A table without storage.
        pub(super) const fn new() -> Self {
            Self { chunks: array_of![AtomicPtr::new(ptr::null_mut()); CHUNKS], owns: PhantomData }
        }
    }

    /// The slot at `index` if its chunk exists.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Slot<F>> {
        let (chunk, offset) = locate(index);
        // Acquire pairs with the Release of `ensure`: whoever sees the chunk sees its slots initialised.
        let first = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        // SAFETY: `locate` gives an offset below the chunk's length, `FIRST_CHUNK << chunk`, which is what `ensure`
        // allocated at `first`.
        let slot = unsafe { first.add(offset) };
        // SAFETY: the slot was initialised before `first` was stored, lives until the table is dropped, which borrows
        // it exclusively, and is only ever shared.
        Some(unsafe { &*slot })
    }

    /// Makes sure that the chunk of `index` exists; `None` when memory for it cannot be had.
    ///
    /// Called by one thread at a time: the registry's lock is held.
    pub(super) fn ensure(&self, index: u32) -> Option<&Slot<F>> {
        let (chunk, _) = locate(index);
        let place = self.chunks.get(chunk)?;
        // Relaxed: only the holder of the registry's lock writes here, and that lock is held.
        if place.load(Ordering::Relaxed).is_null() {
            let length = FIRST_CHUNK << chunk;
            let mut slots: Vec<Slot<F>> = Vec::new();
            slots.try_reserve_exact(length).ok()?;
            slots.extend((0..length).map(|_| Slot::new()));
            let first = Box::into_raw(slots.into_boxed_slice()).cast::<Slot<F>>();
            // Release pairs with the Acquire of `get`.
            place.store(first, Ordering::Release);
        }
        self.get(index)
    }
}

impl<F: ?Sized> Drop for Table<F> {
    fn drop(&mut self) {
        for (chunk, place) in self.chunks.iter().enumerate() {
            // Relaxed: the table is borrowed exclusively, which already orders every use before this.
            let first = place.load(Ordering::Relaxed);
            if !first.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(first, FIRST_CHUNK << chunk);
                // SAFETY: exactly this slice came out of `Box::into_raw` in `ensure`, and it is not used after this.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_its_own_place_inside_its_chunk() {
        let (mut chunk, mut offset) = (0, 0);
        for index in 0..(FIRST_CHUNK * 7) as u32 {
            assert_eq!(locate(index), (chunk, offset), "index {index}");
            offset += 1;
            if offset == FIRST_CHUNK << chunk {
                (chunk, offset) = (chunk + 1, 0);
            }
        }
    }
}
