//! The addresses of one signature: which were never used, which are dead, and which comes next.
//!
//! Dead addresses wait in a queue, the quarantine. The oldest one is given out again when more than the limit are dead,
//! so at least as many others have died after it.

use super::data::{Data, Released};
use super::pages;
use crate::registry::{Handle, Shortage, lock_addresses};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use std::ptr;

/// The addresses of one signature.
///
/// The fields that change are read and written only under `lock_addresses`, which orders them: every access is
/// Relaxed.
pub struct Stock {
    /// How many dead addresses are kept out of use; `None`: all of them, for ever.
    quarantine: Option<usize>,
    /// How many arguments are passed in general registers, if code pages can be used for this signature.
    integers: Option<usize>,
    /// How many addresses of the pool have been used.
    pooled: AtomicUsize,
    /// Addresses that C has never seen, or not since they were in the quarantine.
    fresh: AtomicPtr<Data>,
    /// The quarantine's first and last, and how many there are.
    oldest: AtomicPtr<Data>,
    newest: AtomicPtr<Data>,
    dead: AtomicUsize,
    /// How many code pages there are. Read without the lock, too: it decides only how many to make next.
    pages: AtomicUsize,
}

/// What the macro made for a signature.
#[derive(Clone, Copy)]
pub struct Parts {
    /// The stock.
    pub stock: &'static Stock,
    /// The pool's addresses.
    pub pool: &'static [Data],
    /// The function that was compiled for an index of the pool.
    pub pooled: fn(usize) -> *const (),
    /// The function that code pages jump to. It takes the handle as its last argument.
    pub answer: *const (),
}

impl Stock {
    /// A stock of addresses that have not been used. `integers`: see the field.
    #[must_use]
    pub const fn new(quarantine: Option<usize>, integers: Option<usize>) -> Self {
        Self {
            quarantine,
            integers,
            pooled: AtomicUsize::new(0),
            fresh: AtomicPtr::new(ptr::null_mut()),
            oldest: AtomicPtr::new(ptr::null_mut()),
            newest: AtomicPtr::new(ptr::null_mut()),
            dead: AtomicUsize::new(0),
            pages: AtomicUsize::new(0),
        }
    }

    /// Whether more addresses are dead than have to be kept out of use.
    fn is_overfull(&self) -> bool {
        self.quarantine.is_some_and(|limit| self.dead.load(Ordering::Relaxed) > limit)
    }

    /// The address that comes next, without making one.
    fn next(&self, parts: &Parts) -> Option<&'static Data> {
        if self.is_overfull() {
            let (data, rest) = pop(&self.oldest)?;
            if rest.is_null() {
                self.newest.store(ptr::null_mut(), Ordering::Relaxed);
            }
            self.dead.fetch_sub(1, Ordering::Relaxed);
            return Some(data);
        }
        if let Some((data, _)) = pop(&self.fresh) {
            return Some(data);
        }
        let index = self.pooled.load(Ordering::Relaxed);
        let data = parts.pool.get(index)?;
        self.pooled.store(index + 1, Ordering::Relaxed);
        data.set_code((parts.pooled)(index));
        Some(data)
    }

    fn add_fresh(&self, data: &'static Data) {
        data.next.store(self.fresh.load(Ordering::Relaxed), Ordering::Relaxed);
        self.fresh.store(ptr::from_ref(data).cast_mut(), Ordering::Relaxed);
    }

    fn add_dead(&self, data: &'static Data) {
        let this = ptr::from_ref(data).cast_mut();
        data.next.store(ptr::null_mut(), Ordering::Relaxed);
        match deref(self.newest.swap(this, Ordering::Relaxed)) {
            Some(newest) => newest.next.store(this, Ordering::Relaxed),
            None => self.oldest.store(this, Ordering::Relaxed),
        }
        self.dead.fetch_add(1, Ordering::Relaxed);
    }
}

impl Parts {
    /// An address, for two leases.
    ///
    /// # Errors
    /// [`Shortage::Thunks`] if the pool is used up, no code page can be had, and the quarantine keeps the dead ones.
    fn take(&self) -> Result<&'static Data, Shortage> {
        loop {
            let found = {
                let _locked = lock_addresses();
                self.stock.next(self)
            };
            // The lock is free while pages are made: that reads files and allocates.
            match found {
                Some(data) => {
                    data.lease();
                    return Ok(data);
                }
                None if self.make_pages() => {}
                None => return Err(Shortage::Thunks),
            }
        }
    }

    /// Makes code pages: one at first, and later as many at a time as there are, up to 64, because each time reads the
    /// list of the process's mappings, which is as long as there are pages. Returns whether there is a new page.
    fn make_pages(&self) -> bool {
        let Some(integers) = self.stock.integers else { return false };
        let before = self.stock.pages.load(Ordering::Relaxed);
        let mut made = false;
        pages::make(self.answer, integers, before.clamp(1, 64), |page| {
            let _locked = lock_addresses();
            // In reverse, so that they are given out by ascending address.
            page.iter().rev().for_each(|data| self.stock.add_fresh(data));
            self.stock.pages.fetch_add(1, Ordering::Relaxed);
            made = true;
        });
        made
    }
}

/// Takes the first one off a list. Returns it and the new first one.
fn pop(list: &AtomicPtr<Data>) -> Option<(&'static Data, *mut Data)> {
    let first = deref(list.load(Ordering::Relaxed))?;
    let rest = first.next.load(Ordering::Relaxed);
    list.store(rest, Ordering::Relaxed);
    Some((first, rest))
}

/// What a pointer in a list points to.
fn deref(data: *mut Data) -> Option<&'static Data> {
    // SAFETY: the pointers in lists are null, or were made from a `&'static Data` by `add_fresh` or `add_dead`. A
    // `Data` is only ever shared.
    unsafe { data.as_ref() }
}

/// A right to an address. While there is one, the address is given to no other callback.
pub struct Lease {
    data: &'static Data,
    stock: &'static Stock,
}

impl Lease {
    /// Two leases of one address: for the callback, and for its owner.
    pub(super) fn pair(parts: &Parts) -> Result<(Self, Self), Shortage> {
        let data = parts.take()?;
        Ok((Self { data, stock: parts.stock }, Self { data, stock: parts.stock }))
    }

    /// The address.
    pub(super) fn code(&self) -> *const () {
        self.data.code()
    }

    /// Makes calls of the address run the callback that `handle` names.
    pub(super) fn arm(&self, handle: Handle) {
        self.data.arm(handle);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let released = self.data.release();
        if released != Released::Held {
            let _locked = lock_addresses();
            match released {
                Released::Dead => self.stock.add_dead(self.data),
                _ => self.stock.add_fresh(self.data),
            }
        }
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;
    use crate::subprocess::forked;
    use crate::sync::{Flag, thread};
    use std::hint::black_box;

    /// S71: another thread holds the lock most of the time while this one forks. In the child the lock is free.
    #[test]
    fn a_fork_waits_for_the_lock() {
        let stop = Flag::new(false);
        let work = |steps: u32| (0..steps).for_each(|step| _ = black_box(step));
        drop(lock_addresses());
        thread::scope(|scope| {
            // Relaxed, both: nothing depends on when the thread stops.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let locked = lock_addresses();
                    work(20_000);
                    drop(locked);
                    // Without a break, this thread might never be interrupted without the lock.
                    work(4_000);
                }
            });
            for _ in 0..8 {
                let status = forked(10, || {
                    drop(lock_addresses());
                    7
                });
                stop.fetch_or(status != 7 << 8, Ordering::Relaxed);
                assert_eq!(status, 7 << 8);
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
