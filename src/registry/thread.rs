//! Names of threads in reports: a number that is never reused, and the system's name if there is one.
//!
//! The registry's behaviour never depends on them. They work on threads that Rust did not create and while a thread is
//! being torn down, where `std::thread::current()` may not: the name comes from the system, and a tag needs no
//! destructor.

use super::sync::{Counter, Ordering, local};
use std::cell::Cell;
use std::fmt;

/// The name of a thread in reports.
///
/// The number is 1 for the first thread of the process that used a registry, and no other thread of the process ever
/// has it. The name is the system's name of the thread. On Linux it has at most 15 bytes, and is the name at the time
/// when the thread got its tag. On other systems there is no name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadTag {
    number: u64,
    name: [u8; 16],
}

impl ThreadTag {
    /// The calling thread's tag. Works on any thread, and while the thread is being torn down.
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        local! {
            static TAG: Cell<Option<ThreadTag>> = Cell::new(None);
        }
        TAG.with(|tag| {
            tag.get().unwrap_or_else(|| {
                let fresh = Self { number: number(), name: system_name() };
                tag.set(Some(fresh));
                fresh
            })
        })
    }

    /// A tag for unit tests.
    #[cfg(test)]
    pub(super) const fn made_up(number: u64) -> Self {
        Self { number, name: [0; 16] }
    }

    /// The number: 1 or more, never reused in this process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name, if the system has one and it is valid UTF-8.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let end = self.name.iter().position(|&byte| byte == 0).unwrap_or(self.name.len());
        std::str::from_utf8(&self.name[..end]).ok().filter(|name| !name.is_empty())
    }
}

impl fmt::Display for ThreadTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.number)?;
        match self.name() {
            Some(name) => write!(f, " \"{name}\""),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ThreadTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The calling thread's number: 1 or more, and no other thread of the process ever has it. Works in every phase of a
/// thread's end.
pub(super) fn number() -> u64 {
    static LAST: Counter = Counter::new(0);
    local! {
        static NUMBER: Cell<u64> = Cell::new(0);
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            // Relaxed: the number only has to differ from every other.
            number.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        number.get()
    })
}

#[cfg(all(target_os = "linux", not(miri)))]
fn system_name() -> [u8; 16] {
    use std::ffi::c_int;
    unsafe extern "C" {
        fn prctl(option: c_int, ...) -> c_int;
    }
    const PR_GET_NAME: c_int = 16;
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the terminator included, to its one argument, which is that large.
    let status = unsafe { prctl(PR_GET_NAME, name.as_mut_ptr()) };
    if status == 0 { name } else { [0; 16] }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn system_name() -> [u8; 16] {
    [0; 16]
}
