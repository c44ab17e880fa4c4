//! How long ago something was, for reports: a clock that is cheap to read rather than fine.

use std::time::Duration;

/// A point in time, as reports need it: to a few milliseconds on Linux (the kernel's tick), finer elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timestamp {
    /// Since a point in time that is the same for the whole process.
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
        // SAFETY: writes a `struct timespec`, which on this target is these two fields. Should it fail, it writes nothing.
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

    pub(super) fn before(self, later: Self) -> Duration {
        Duration::from_millis(later.milliseconds.saturating_sub(self.milliseconds))
    }
}
