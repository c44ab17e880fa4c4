//! Where a closure is kept: in the slot itself if it is no larger than two words, else in the box it came in.
//!
//! A slot with an allocation of its own for every small closure would be three times as large, and a call would have one
//! more place to fetch from memory. Moving a closure out of its box is what any `*boxed` does; its owner cannot tell,
//! because a box gives no promise about where what was in it goes.

use std::alloc::{Layout, dealloc};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, align_of, size_of};

/// How many words of closure fit into a slot.
const WORDS: usize = 2;
type Room = [MaybeUninit<usize>; WORDS];

/// An owned `F`, like `Box<F>`, that must be taken out or dropped by hand: this type has no destructor.
///
/// A pointer to `F` is one word, the address, or two: the address, and what else the type needs (the table of a trait
/// object, the length of a slice). That the address comes first is how every version of the compiler has done it and is
/// not promised; `put` checks it on each value it is given.
pub(super) struct Stored<F: ?Sized> {
    /// One-word pointers: the value's address, in `room` or in its box.
    /// Two-word pointers: the second word, if the value is in `room`; [`BOXED`] if `room` has the whole pointer.
    key: *const (),
    room: Room,
    owns: PhantomData<Box<F>>,
}

/// A second word that says that the value is in its box. A slice of one element has this length: it stays in its box.
const BOXED: *const () = std::ptr::without_provenance(1);

/// Whether a pointer to `F` is two words.
pub(super) const fn is_wide<F: ?Sized>() -> bool {
    size_of::<*mut F>() == 2 * size_of::<usize>()
}

/// A pointer to `F` as its words; the second is null if there is only one.
fn words_of<F: ?Sized>(pointer: *mut F) -> [*const (); 2] {
    let mut words = [std::ptr::null(); 2];
    const { assert!(size_of::<*mut F>() == size_of::<usize>() || is_wide::<F>()) };
    // SAFETY: a pointer is one or two words, and `words` has room for two. All its bytes are initialised.
    unsafe { (&raw mut words).cast::<*mut F>().write(pointer) };
    words
}

/// The pointer to `F` with these words.
///
/// # Safety
/// 1. The second word is one that `words_of` gave for a pointer of this type, if that has two.
#[inline(always)]
unsafe fn from_words<F: ?Sized>(words: [*const (); 2]) -> *mut F {
    // SAFETY: by (1) the words are a pointer's; the first may be any.
    unsafe { (&raw const words).cast::<*mut F>().read() }
}

/// Has the compiler lay out the path of a small closure as the straight one.
#[cold]
fn large() {}

impl<F: ?Sized> Stored<F> {
    /// Nothing.
    pub(super) const fn vacant() -> Self {
        Self { key: std::ptr::null(), room: [MaybeUninit::uninit(); WORDS], owns: PhantomData }
    }

    /// Moves `value` to `place`, which holds nothing; what it held before is not dropped.
    ///
    /// # Safety
    /// 1. `place` may be written, and nobody else accesses it. It does not move until `take`.
    #[inline]
    pub(super) unsafe fn put(place: *mut Self, value: Box<F>) {
        let layout = Layout::for_value(&*value);
        let pointer = Box::into_raw(value);
        let words = words_of(pointer);
        let address_first = words[0] == pointer.cast_const().cast();
        let fits = layout.size() <= size_of::<Room>() && layout.align() <= align_of::<Room>();
        // No reference to the whole: `key` may point into `room`, and has to stay valid beside whatever comes later.
        // SAFETY: (1)
        let room: *mut u8 = unsafe { &raw mut (*place).room }.cast();
        // SAFETY: (1)
        let key = unsafe { &raw mut (*place).key };
        if fits && address_first && (!is_wide::<F>() || words[1] != BOXED) {
            // SAFETY: as many bytes are there to be read, since the box held a value of that size, and to be written, since
            // they fit. The value is not used at its old place any more.
            unsafe { room.copy_from_nonoverlapping(pointer.cast(), layout.size()) };
            let in_room = if is_wide::<F>() { words[1] } else { room.cast_const().cast() };
            // SAFETY: (1)
            unsafe { key.write(in_room) };
            if layout.size() > 0 {
                // SAFETY: a box's memory, of a value of this layout, that has just been moved out.
                unsafe { dealloc(pointer.cast(), layout) };
            }
        } else if is_wide::<F>() {
            // SAFETY: `room` is two words, and so is the pointer.
            unsafe { room.cast::<*mut F>().write(pointer) };
            // SAFETY: (1)
            unsafe { key.write(BOXED) };
        } else {
            // SAFETY: (1)
            unsafe { key.write(words[0]) };
        }
    }

    /// Where the value is.
    ///
    /// # Safety
    /// 1. `this` may be read, and `put` has been done there and `take` not since.
    #[inline(always)]
    pub(super) unsafe fn get(this: *const Self) -> *const F {
        // No reference to the whole: the value may change itself behind a shared reference.
        // SAFETY: (1)
        let room: *const () = unsafe { &raw const (*this).room }.cast();
        // SAFETY: (1)
        let key = unsafe { (*this).key };
        if is_wide::<F>() {
            if key == BOXED {
                large();
                // SAFETY: by (1) and `key`, `put` wrote the whole pointer here.
                unsafe { room.cast::<*const F>().read() }
            } else {
                // SAFETY: (1) by (1) and `key`, that is the second word of the pointer that `put` was given.
                unsafe { from_words([room, key]) }
            }
        } else {
            // SAFETY: (1) there is no second word.
            unsafe { from_words([key, std::ptr::null()]) }
        }
    }

    /// Moves the value out; nothing is left.
    ///
    /// # Safety
    /// 1. As for `get`, and nobody else accesses `this`.
    #[inline]
    pub(super) unsafe fn take(this: *mut Self) -> Taken<F> {
        // SAFETY: (1) is (1).
        let at = unsafe { Self::get(this) };
        // SAFETY: (1)
        let room = unsafe { &raw mut (*this).room };
        let taken = Taken {
            // SAFETY: (1)
            room: unsafe { room.read() },
            words: words_of(at.cast_mut()),
            inside: at.cast::<()>() == room.cast_const().cast(),
            owns: PhantomData,
        };
        // SAFETY: (1)
        let key = unsafe { &raw mut (*this).key };
        // SAFETY: (1)
        unsafe { key.write(std::ptr::null()) };
        taken
    }
}

/// A value taken out of a slot. Dropping this drops the value, on the thread that does.
pub(super) struct Taken<F: ?Sized> {
    room: Room,
    words: [*const (); 2],
    inside: bool,
    owns: PhantomData<Box<F>>,
}

impl<F: ?Sized> Drop for Taken<F> {
    fn drop(&mut self) {
        if self.inside {
            let room: *const () = (&raw mut self.room).cast_const().cast();
            // SAFETY: (1) the second word is that of the value's own pointer.
            let pointer: *mut F = unsafe { from_words([room, self.words[1]]) };
            // SAFETY: the value is here, whole, aligned as `room` is, and nowhere else; it is dropped once, here.
            unsafe { pointer.drop_in_place() };
        } else {
            // SAFETY: (1) both words are of the value's own pointer.
            let pointer: *mut F = unsafe { from_words(self.words) };
            // SAFETY: not in the slot, so in the box it came in, which `put` took apart and nobody has put together since.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}
