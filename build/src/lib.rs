//! For build scripts: compiles C and C++ code so that [`latecall-explore`] can run it in every interleaving of its
//! threads.
//!
//! ```no_run
//! // build.rs
//! latecall_build::Instrument::new("model_mylib")
//!     .include("vendor/mylib/include")
//!     .file("vendor/mylib/src/mylib.c")
//!     .link();
//! ```
//!
//! The sources stay as they are. [`Instrument`] does the following with them:
//!
//! 1. It compiles them with `-fsanitize=thread`, which turns every memory access and every atomic operation into a
//!    call. The sanitizer's own runtime is not linked.
//! 2. It renames these calls, and the code's calls of pthreads, `malloc` and the C library, to the entry points of
//!    `latecall-explore`.
//! 3. It gives the code's own symbols the prefix `model_mylib_`, so that one binary can contain both the instrumented
//!    code and a plain build of the same code. A test declares `model_mylib_open` where the header has `open`.
//! 4. It refuses code that the explorer could not follow: functions that are not modelled, assembly with atomic
//!    instructions, objects that were not instrumented. The [`Error`] names each function, the object that uses it, and
//!    what to do.
//!
//! # What it needs
//!
//! - Linux on x86-64.
//! - A compiler: gcc, or clang. `$CC` and `$CXX` are respected.
//! - GNU binutils: `as`, `ld`, `objcopy`, `objdump` and `ar`.
//!
//! [`latecall-explore`]: https://docs.rs/latecall-explore

mod assembly;
mod compile;
mod error;
mod instrument;
mod locals;
mod objects;
mod renames;
mod symbols;
mod tools;

pub use compile::COMPILER_FLAGS;
pub use error::{Error, Uses};
pub use instrument::Instrument;
pub use symbols::{ALLOWED, MODELLED, instrumentation};

/// The name of each entry point of `latecall-explore` begins with this; the rest is the name of the function that it
/// replaces.
pub const ENTRY_PREFIX: &str = "latecall_model_";

/// The section for all writable data of instrumented code, from which `latecall-explore` restores global variables
/// between interleavings. The name is a C identifier, so that the linker defines symbols for the section's bounds.
pub const DATA_SECTION: &str = "latecall_model_data";
