//! Runs unmodified C code, together with the Rust code around it, in every interleaving of its threads.
//!
//! A test calls [`explore`] with a closure. The closure runs again and again, each time with another order of the threads' lock
//! operations and atomic accesses, until there is no order left, a limit is reached, or something is wrong. The threads may be
//! the C library's own, or the test's ([`spawn`]). The result is an [`Exploration`]. If something is wrong, it contains a
//! [`Finding`] with the interleaving that shows it: a column for each thread, C functions with file and line, and the violation
//! at the bottom. [`replay`] runs that interleaving again.
//!
//! # Example
//!
//! A C library with a mistake: `counter_value` forgets the lock.
//!
//! ```c
//! // vendor/counter.c
//! #include <pthread.h>
//! static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
//! static int count;
//! void counter_add(int n) { pthread_mutex_lock(&lock); count += n; pthread_mutex_unlock(&lock); }
//! int counter_value(void) { return count; }
//! ```
//!
//! The build script compiles the library for the explorer, with [`latecall-build`]:
//!
//! ```toml
//! # Cargo.toml
//! [build-dependencies]
//! latecall-build = "0.1"
//! [dev-dependencies]
//! latecall-explore = "0.1"
//! ```
//!
//! ```no_run
//! // In the `main` of build.rs:
//! latecall_build::Instrument::new("explored").file("vendor/counter.c").link();
//! ```
//!
//! The test declares the library's functions with the prefix `explored_`, and calls them from two threads:
//!
//! ```no_run
//! // A unit test of the same package.
//! use latecall_explore::{Options, explore, spawn};
//! use std::ffi::c_int;
//!
//! unsafe extern "C-unwind" {
//!     safe fn explored_counter_add(n: c_int);
//!     safe fn explored_counter_value() -> c_int;
//! }
//!
//! # fn main() {
//! explore("counter", &Options::new(), || {
//!     let adder = spawn(|| explored_counter_add(1));
//!     explored_counter_value();
//!     adder.join();
//! })
//! .check();
//! # }
//! ```
//!
//! The test fails, and prints:
//!
//! ```text
//! counter: convicted, 120.30ms
//! data race in interleaving 1
//!      | main                                                 | thread 1
//!    1 | creates thread 1 (src/lib.rs:14)                     |
//!    2 | counter_value: reads global data count (counter.c:5) |
//!    3 |                                                      | counter_add: locks global data lock (counter.c:4)
//!    4 |                                                      |   reads global data count (counter.c:4)
//!    5 |                                                      |   writes global data count (counter.c:4)
//! data race in thread 1: write of 4 bytes at global data count by thread 1, and nothing orders it after the read by main at
//! counter_value vendor/counter.c:5 from counter::tests::counts::{{closure}} src/lib.rs:15
//!   at counter_add vendor/counter.c:4
//!   from counter::tests::counts::{{closure}}::{{closure}} src/lib.rs:14
//! ```
//!
//! # What it finds
//!
//! Each kind of finding is a variant of [`FindingKind`]: data races, use after free, double free, `free` of memory that is not
//! from `malloc`, accesses out of bounds, leaks, deadlocks, livelocks, misuse of the C library, `abort` and failed assertions in
//! C, and panics and [`fail`] in Rust.
//!
//! # What it cannot do
//!
//! - It runs on Linux on x86-64 only, with code from gcc or clang.
//! - Functions that are not modelled are refused: most of them by the build, and some when the code calls them. The search then
//!   ends as bounded by that call ([`Bound::Unmodelled`]).
//! - An interleaving has at most five threads, and an atomic keeps its last seven values. Loops that wait for another thread
//!   give way to other threads, so searches of code with such loops end as bounded ([`Bound::Yields`]).
//! - A load never returns a value that is stored later in program order (*load buffering*), and some orders of `SeqCst`
//!   operations are stronger than C's.
//! - It does not see the memory that Rust code accesses, except through loom's types.
//!
//! `docs/model.md` in latecall's sources lists the modelled functions, all limits, and for each which way it errs.
//! `docs/explore.md` is about Rust code alone, which [`executions`] explores without loom.
//!
//! # Which part does what
//!
//! The compiler turns each memory access and each atomic operation of the C code into a call (`-fsanitize=thread`).
//! `latecall-build` redirects these calls, and those of pthreads and the C library, to entry points of this package. Each entry
//! point is an operation of [loom], which chooses the order of the threads.
//!
//! | Modules | Task |
//! | --- | --- |
//! | `entry` | redirects calls to the functions below |
//! | `tsan` | memory accesses and atomics: what the compiler inserted |
//! | `pthread`, `descriptors` | what blocks threads and wakes them |
//! | `memory`, `library`, `exceptions` | `malloc`, the C library's other functions, C++ exceptions |
//! | `world`, `stack`, `locals`, `globals`, `constructors`, `by_address` | the state of one interleaving, and how it is restored |
//! | `race`, `spins`, `trace` | which accesses are ordered, which loops wait, which interleavings repeat others |
//! | `event`, `finding`, `variables` | the timeline, and its words |
//! | `search`, `choice` | one interleaving after the other |
//! | [`quarantine`] | an allocator that keeps freed memory: for the harness of [`latecall`] |
//!
//! [`latecall`]: https://docs.rs/latecall
//! [`latecall-build`]: https://docs.rs/latecall-build
//! [loom]: https://docs.rs/loom

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!(
    "latecall-explore works on Linux on x86-64 only: for other targets, build latecall without its feature `harness` (its registry \
     builds on every target)"
);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod by_address;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod cell;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod choice;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod constructors;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod descriptors;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod entry;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod event;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod exceptions;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod executions;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod exploration;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod finding;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod globals;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[doc(hidden)]
pub mod harness;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod library;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod litmus;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod locals;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[allow(missing_docs, reason = "each is loom's type or function of the same name; the module says what is added")]
mod loom_types;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod options;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod pthread;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod quarantine;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod race;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[doc(hidden)]
pub mod seam;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod search;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod spins;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod stack;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod std_types;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod sync;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod thread;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod trace;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tsan;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod variables;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod world;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use self::{
    event::rust_op,
    search::guarded,
    world::{Me, current, full_fences, is_over, number as thread_number, whole},
};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use self::{
    exploration::{Exploration, Extent, explore, fail, note, replay},
    finding::{Bound, Finding, FindingKind},
    options::{Options, Repeats, Volatile},
    pthread::{JoinHandle, spawn},
    quarantine::Quarantine,
};

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_that_is_redirected_has_an_entry_point() {
        let provided: BTreeSet<&str> = tsan::NAMES
            .iter()
            .chain(memory::NAMES)
            .chain(exceptions::NAMES)
            .copied()
            .chain(library::names())
            .chain(pthread::names())
            .chain(descriptors::names())
            .collect();
        let mut instrumentation = latecall_build::instrumentation();
        // What the build helper puts in the place of functions that are refused.
        instrumentation.push("__refused".to_owned());
        let redirected = latecall_build::MODELLED.iter().copied().chain(instrumentation.iter().map(String::as_str));
        let redirected: BTreeSet<&str> = redirected.collect();
        assert_eq!(provided, redirected);
        assert!(latecall_build::ALLOWED.iter().all(|name| !redirected.contains(name)));
    }

    #[test]
    fn a_search_inside_a_search_is_refused() {
        let exploration = explore("outer", &Options::new(), || drop(explore("inner", &Options::new(), || {})));
        assert!(
            exploration.assert_convicted(FindingKind::Failed).message.contains("a search inside a search"),
            "{exploration}"
        );
    }
}
