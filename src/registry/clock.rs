//! A coarse clock that is cheap to read, for the ages in reports.

use std::time::Duration;

/// A point in time. Precise to a few milliseconds on Linux (the kernel's tick), and to one millisecond elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timestamp {
    /// Since a moment that is the same for the whole process.
    milliseconds: u64,
}

impl Timestamp {
    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
    pub(super) fn now() -> Self {
        use std::ffi::{c_int, c_long};
        #[repr(C)]
        struct Timespec {
            seconds: c_long,
            nanoseconds: c_long,
        }
        unsafe extern "C" {
            fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
        }
        const CLOCK_MONOTONIC_COARSE: c_int = 6;
        let mut time = Timespec { seconds: 0, nanoseconds: 0 };
        // SAFETY: `clock_gettime` writes a `struct timespec`, which on this target has the layout of `Timespec`. If it
        // fails it writes nothing, and the age in the report is wrong.
        unsafe { clock_gettime(CLOCK_MONOTONIC_COARSE, &raw mut time) };
        Self { milliseconds: time.seconds as u64 * 1000 + time.nanoseconds as u64 / 1_000_000 }
    }

    #[cfg(not(all(target_os = "linux", target_pointer_width = "64", not(miri))))]
    pub(super) fn now() -> Self {
        use std::time::Instant;
        static FIRST: super::sync::Outside<Option<Instant>> = super::sync::Outside::new(None);
        let mut first = FIRST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Self { milliseconds: first.get_or_insert_with(Instant::now).elapsed().as_millis() as u64 }
    }

    /// How long before `later` this was.
    pub(super) fn before(self, later: Self) -> Duration {
        Duration::from_millis(later.milliseconds.saturating_sub(self.milliseconds))
    }
}
