//! Where a closure is kept: in the slot itself if it is no larger than two words, otherwise in the box it came in.
//!
//! If every small closure stayed in its box, a registration would take up to three times the memory, and a call would
//! fetch from one more place in memory. Closures may be moved out of their box, as `*boxed` does: a `Box` does not pin
//! its contents.

use std::alloc::{Layout, dealloc};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, align_of, size_of};

/// How many words of closure fit into a slot.
const WORDS: usize = 2;
type Inline = [MaybeUninit<usize>; WORDS];

/// An owned `F`, like `Box<F>`, but without a destructor: the value must be taken out.
///
/// A pointer to `F` is one word, the address, or two words: the address and its metadata (the vtable of a trait object,
/// the length of a slice). Every compiler so far puts the address first, but Rust does not promise it. `put` therefore
/// checks each pointer.
pub(super) struct Stored<F: ?Sized> {
    /// One-word pointers: the value's address, in `inline` or in its box.
    /// Two-word pointers: the second word, if the value is in `inline`; [`BOXED`] if `inline` contains the pointer.
    key: *const (),
    inline: Inline,
    owns: PhantomData<Box<F>>,
}

/// A second word that says that the value is in its box. The pointer of a slice of one element has this second word, so
/// such a slice always stays in its box.
const BOXED: *const () = std::ptr::without_provenance(1);

/// Whether a pointer to `F` is two words.
pub(super) const fn is_wide<F: ?Sized>() -> bool {
    size_of::<*mut F>() == 2 * size_of::<usize>()
}

/// A pointer to `F` as its words; the second is null if there is only one.
fn words_of<F: ?Sized>(pointer: *mut F) -> [*const (); 2] {
    let mut words = [std::ptr::null(); 2];
    const { assert!(size_of::<*mut F>() == size_of::<usize>() || is_wide::<F>()) };
    // SAFETY: a pointer is one or two words, as asserted above, and `words` has two, with a pointer's alignment.
    unsafe { (&raw mut words).cast::<*mut F>().write(pointer) };
    words
}

/// The pointer to `F` with these words.
///
/// # Safety
/// 1. If a pointer to `F` has two words, `words_of` has returned the second one for a pointer of this type.
#[inline(always)]
unsafe fn from_words<F: ?Sized>(words: [*const (); 2]) -> *mut F {
    // SAFETY: `words` has as many words as the pointer or more. Any first word is a valid address of a raw pointer, and
    // by clause 1 the second word is valid metadata.
    unsafe { (&raw const words).cast::<*mut F>().read() }
}

/// Tells the compiler that closures in their box are the rare case.
#[cold]
fn large() {}

impl<F: ?Sized> Stored<F> {
    /// Contains no value.
    pub(super) const fn vacant() -> Self {
        Self { key: std::ptr::null(), inline: [MaybeUninit::uninit(); WORDS], owns: PhantomData }
    }

    /// Moves `value` to `place`, and returns the box that it was in, if the value is not in it any more. A value that
    /// is there already is not dropped.
    ///
    /// # Safety
    /// 1. `place` may be written, and no other thread accesses it meanwhile. It does not move until `take`.
    #[inline]
    pub(super) unsafe fn put(place: *mut Self, value: Box<F>) -> Emptied {
        let layout = Layout::for_value(&*value);
        let pointer = Box::into_raw(value);
        let words = words_of(pointer);
        let address_first = words[0] == pointer.cast_const().cast();
        let fits = layout.size() <= size_of::<Inline>() && layout.align() <= align_of::<Inline>();
        // No reference to the whole `Stored`: `key` may point into `inline`, and must stay valid beside later accesses.
        // SAFETY: by clause 1 `place` points to a `Stored`, so its field has an address.
        let inline: *mut u8 = unsafe { &raw mut (*place).inline }.cast();
        // SAFETY: by clause 1 `place` points to a `Stored`, so its field has an address.
        let key = unsafe { &raw mut (*place).key };
        if fits && address_first && (!is_wide::<F>() || words[1] != BOXED) {
            // SAFETY: the box holds a value of that size, and `inline` has room for it, as `fits` says. By clause 1 it
            // may be written. The value is not used in its box any more.
            unsafe { inline.copy_from_nonoverlapping(pointer.cast(), layout.size()) };
            let new_key = if is_wide::<F>() { words[1] } else { inline.cast_const().cast() };
            // SAFETY: by clause 1 the field may be written.
            unsafe { key.write(new_key) };
            return Emptied { memory: pointer.cast(), layout };
        } else if is_wide::<F>() {
            // SAFETY: `inline` is two words and aligned as a word, which is what the pointer needs. By clause 1 it may
            // be written.
            unsafe { inline.cast::<*mut F>().write(pointer) };
            // SAFETY: by clause 1 the field may be written.
            unsafe { key.write(BOXED) };
        } else {
            // SAFETY: by clause 1 the field may be written.
            unsafe { key.write(words[0]) };
        }
        Emptied { memory: std::ptr::null_mut(), layout: Layout::new::<()>() }
    }

    /// The address of the value.
    ///
    /// # Safety
    /// 1. `this` may be read, `put` has been called with it, and `take` has not been called since.
    #[inline(always)]
    pub(super) unsafe fn get(this: *const Self) -> *const F {
        // No reference to the whole `Stored`: the value may have interior mutability.
        // SAFETY: by clause 1 `this` points to a `Stored`, so its field has an address.
        let inline: *const () = unsafe { &raw const (*this).inline }.cast();
        // SAFETY: by clause 1 the field may be read, and `put` has written it.
        let key = unsafe { (*this).key };
        if is_wide::<F>() {
            if key == BOXED {
                large();
                // SAFETY: by clause 1 `put` was called, and `key` says that `put` wrote the pointer into `inline`.
                unsafe { inline.cast::<*const F>().read() }
            } else {
                // SAFETY: clause 1 of `from_words`: by our clause 1 `put` was called, and it wrote the second word of
                // its pointer, which `words_of` returned, to `key`.
                unsafe { from_words([inline, key]) }
            }
        } else {
            // SAFETY: clause 1 of `from_words`: a pointer to this `F` has one word.
            unsafe { from_words([key, std::ptr::null()]) }
        }
    }

    /// Moves the value out. `None` if it was moved out before. (Also for an empty slice in its place, which needs no
    /// destructor.)
    ///
    /// # Safety
    /// 1. `this` may be read and written, and `put` has been called with it.
    /// 2. No other thread accesses `this` meanwhile.
    #[inline]
    pub(super) unsafe fn take(this: *mut Self) -> Option<Taken<F>> {
        // SAFETY: by clause 1 the field may be read, and `put` or `take` has written it.
        if unsafe { (*this).key }.is_null() {
            return None;
        }
        // SAFETY: clause 1 of `get`: `put` was called, and no `take` since, which would have made `key` null.
        let at = unsafe { Self::get(this) };
        // SAFETY: by clause 1 `this` points to a `Stored`, so its field has an address.
        let inline = unsafe { &raw mut (*this).inline };
        let taken = Taken {
            // SAFETY: by clause 1 the field may be read, and by clause 2 it does not change meanwhile. `MaybeUninit`
            // may be read whether or not it is initialised.
            inline: unsafe { inline.read() },
            words: words_of(at.cast_mut()),
            is_inline: at.cast::<()>() == inline.cast_const().cast(),
            owns: PhantomData,
        };
        // SAFETY: by clause 1 `this` points to a `Stored`, so its field has an address.
        let key = unsafe { &raw mut (*this).key };
        // SAFETY: by clauses 1 and 2 the field may be written.
        unsafe { key.write(std::ptr::null()) };
        Some(taken)
    }
}

/// A box whose value has been moved out; frees it. Not while a lock is held: other threads need not wait for an
/// allocator.
pub(super) struct Emptied {
    memory: *mut u8,
    layout: Layout,
}

impl Drop for Emptied {
    #[inline]
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: a `Box` allocated this memory with the layout of its value, which `put` has moved out. It is
            // freed once.
            unsafe { dealloc(self.memory, self.layout) };
        }
    }
}

/// A value that was taken out of a slot. Dropping this drops the value.
pub(super) struct Taken<F: ?Sized> {
    inline: Inline,
    words: [*const (); 2],
    is_inline: bool,
    owns: PhantomData<Box<F>>,
}

impl<F: ?Sized> Drop for Taken<F> {
    fn drop(&mut self) {
        if self.is_inline {
            let inline: *const () = (&raw mut self.inline).cast_const().cast();
            // SAFETY: clause 1 of `from_words`: `take` got the second word from `words_of`, for the pointer to this
            // value.
            let pointer: *mut F = unsafe { from_words([inline, self.words[1]]) };
            // SAFETY: `take` moved the value to `inline`, which is aligned well enough for it, as `put` has checked.
            // The value is dropped once, because `take` is called once for each `put`.
            unsafe { pointer.drop_in_place() };
        } else {
            // SAFETY: clause 1 of `from_words`: `take` got both words from `words_of`, for the pointer to this value.
            let pointer: *mut F = unsafe { from_words(self.words) };
            // SAFETY: a value that is not inline is in its box, whose pointer `put` got from `Box::into_raw`. The box
            // is made again once, because `take` is called once for each `put`.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}
