//! Memory that is not atomic, for code that [`executions::explore`](crate::executions::explore) explores.

use crate::executions::{Access, Failure, Shadow, with};
use crate::finding;
use crate::std_types::{self, Mutex, lock};
use std::panic::Location;

/// As `std::cell::UnsafeCell`. Each access has a beginning, where it is checked for data races.
///
/// A race ends the execution at the thread's next operation of a type of this crate.
#[derive(Debug)]
pub struct UnsafeCell<T> {
    value: std_types::UnsafeCell<T>,
    /// A lock only so that cells may be statics. One thread of the machine uses it.
    accesses: Mutex<Shadow>,
}

impl<T> UnsafeCell<T> {
    /// A cell that no thread has accessed.
    pub const fn new(value: T) -> Self {
        Self { value: std_types::UnsafeCell::new(value), accesses: Mutex::new(Shadow::new()) }
    }

    /// Runs `access` with a pointer through which it may read.
    #[track_caller]
    pub fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        self.check(Access::Read);
        access(self.value.get())
    }

    /// Runs `access` with a pointer through which it may read and write.
    #[track_caller]
    pub fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        self.check(Access::Write);
        access(self.value.get())
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    #[track_caller]
    fn check(&self, access: Access) {
        let place = Location::caller();
        with(|runner| {
            if access == Access::Write {
                runner.has_effect();
            }
            let mut accesses = lock(&self.accesses);
            let Some(race) = accesses.access(runner, access, place) else { return };
            let name = |access| if access == Access::Read { "reads" } else { "writes" };
            runner.fail(Failure::Race(format!(
                "thread {} {} ({}) what thread {} {} ({}), and nothing orders the two",
                runner.current(),
                name(access),
                finding::at(place),
                race.thread,
                name(race.earlier),
                finding::at(race.place),
            )));
        });
    }
}
