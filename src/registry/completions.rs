//! Lists of completions, and boxes that can fail: nothing here aborts where memory is missing.

use super::completion::BoxedOnce;
use super::handle::Handle;

/// A completion, in the list of its registration.
pub(super) struct Listed {
    pub(super) of: Handle,
    pub(super) done: BoxedOnce,
    next: Completions,
}

/// Completions, the one that was given last first. Only `Listed::new` allocates.
pub(super) struct Completions(Option<Box<Listed>>);

impl Completions {
    pub(super) const NONE: Self = Self(None);

    #[inline]
    pub(super) fn are_none(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn add(&mut self, mut listed: Box<Listed>) {
        listed.next = std::mem::replace(self, Self::NONE);
        self.0 = Some(listed);
    }

    pub(super) fn pop(&mut self) -> Option<Box<Listed>> {
        let mut listed = self.0.take()?;
        *self = std::mem::replace(&mut listed.next, Self::NONE);
        Some(listed)
    }

    /// One by one: the compiler's own code would use stack for each.
    #[cold]
    fn clear(&mut self) {
        while self.pop().is_some() {}
    }

    /// Takes the completions of `handle` out, in the order in which they were given.
    pub(super) fn take_those_of(&mut self, handle: Handle) -> Self {
        let (mut theirs, mut others) = (Self::NONE, Self::NONE);
        while let Some(listed) = self.pop() {
            if listed.of == handle { theirs.add(listed) } else { others.add(listed) }
        }
        while let Some(listed) = others.pop() {
            self.add(listed);
        }
        theirs
    }

    /// Adds the completions of `others`, the first of which was given first.
    pub(super) fn append(&mut self, mut others: Self) {
        while let Some(listed) = others.pop() {
            self.add(listed);
        }
    }
}

impl Drop for Completions {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.clear();
        }
    }
}

/// As `Box::new`; `None`, and `value` dropped, if there is no memory.
pub(crate) fn try_box<T>(value: T) -> Option<Box<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(1).ok()?;
    room.push(value);
    // The length is the capacity, so that this allocates nothing.
    let array: Box<[T; 1]> = room.into_boxed_slice().try_into().ok()?;
    // SAFETY: an array of one value has the layout of the value, and the pointer is from `Box::into_raw`.
    Some(unsafe { Box::from_raw(Box::into_raw(array).cast()) })
}

/// A completion that is in no list yet.
pub(super) fn boxed(done: impl FnOnce() + Send + 'static) -> Option<Box<Listed>> {
    try_box(Listed { of: Handle::NULL, done: try_box(done)?, next: Completions::NONE })
}
