//! Asymmetric fences: a call executes a compiler fence, and a revoker pays for both sides.
//!
//! A call stores its handle and then reads the slot's word. A revoker changes the word and then reads the stored
//! handles. At least one of the two must see the other's store. Two pairs of fences guarantee that:
//!
//! * a full fence on both sides;
//! * a *light* fence in the call, which only keeps the compiler from reordering, and a *heavy* fence in the revoker,
//!   which makes every thread of the process execute a full fence: Linux's `membarrier` (`PRIVATE_EXPEDITED`).
//!
//! Two light fences order nothing.
//!
//! Where `membarrier` does not exist or is refused (an old kernel, a seccomp filter, another system, Miri), both sides
//! execute full fences. The choice is made once, before the first call of the process stores its handle, and is kept,
//! because a thread that has begun to use light fences cannot be told to stop.
//!
//! Under loom the light and the heavy fence are full fences.

use super::sync::{MODELLED, Ordering, fence};
use std::sync::atomic::compiler_fence;

/// The fence of a call, on the fast path. Pairs with [`heavy`].
#[inline(always)]
pub(super) fn light() {
    if MODELLED {
        full();
    } else {
        // SeqCst, for the compiler alone: the store before this fence is not moved after the load behind it. The
        // processor's fence is the one that `heavy` makes this thread execute. A call comes here only after
        // `asymmetric` was true.
        compiler_fence(Ordering::SeqCst);
    }
}

/// The fence of a call, off the fast path, where the kind of fences in use is not known.
pub(super) fn callers() {
    if asymmetric() { light() } else { full() }
}

/// A full fence. Pairs with [`heavy`] and with other full fences.
#[inline]
pub(super) fn full() {
    // SeqCst: of two threads that each store, fence and load, the total order of full fences makes one see the other's
    // store.
    fence(Ordering::SeqCst);
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod imp {
    /// Whether calls may use light fences.
    pub(in super::super) fn asymmetric() -> bool {
        false
    }

    /// The fence of a revoker.
    pub(in super::super) fn heavy() {
        super::full();
    }

    /// Selects full fences, which are the only kind here.
    pub(in super::super) fn use_portable() -> bool {
        true
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod imp {
    use super::super::sync::{Counter, MODELLED, Ordering};
    use std::ffi::{c_int, c_long};

    /// The choice. A process-wide fact, which the models do not see.
    static MODE: Counter = Counter::new(UNDECIDED);
    const UNDECIDED: u64 = 0;
    const ASYMMETRIC: u64 = 1;
    const SYMMETRIC: u64 = 2;

    const PRIVATE_EXPEDITED: c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;

    #[cfg(target_arch = "x86_64")]
    const SYS_MEMBARRIER: Option<c_long> = Some(324);
    #[cfg(target_arch = "x86")]
    const SYS_MEMBARRIER: Option<c_long> = Some(375);
    #[cfg(target_arch = "arm")]
    const SYS_MEMBARRIER: Option<c_long> = Some(389);
    #[cfg(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64"))]
    const SYS_MEMBARRIER: Option<c_long> = Some(283);
    #[cfg(not(any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64"
    )))]
    const SYS_MEMBARRIER: Option<c_long> = None;

    fn membarrier(command: c_int) -> bool {
        unsafe extern "C" {
            fn syscall(number: c_long, ...) -> c_long;
        }
        let Some(number) = SYS_MEMBARRIER else { return false };
        let (flags, cpu): (c_int, c_int) = (0, 0);
        // SAFETY: `membarrier` takes three integers and accesses no memory of this process. The kernel answers an
        // unknown system call or command, or a refused one, with an error.
        unsafe { syscall(number, command, flags, cpu) == 0 }
    }

    /// Whether calls may use light fences. The first call of this function makes the choice for the process.
    pub(in super::super) fn asymmetric() -> bool {
        if MODELLED {
            return true; // In a model `light` is a full fence.
        }
        // Acquire pairs with the AcqRel in `decide`: a thread that sees the choice sees that the process is registered.
        let mode = match MODE.load(Ordering::Acquire) {
            UNDECIDED => decide(if membarrier(REGISTER_PRIVATE_EXPEDITED) { ASYMMETRIC } else { SYMMETRIC }),
            decided => decided,
        };
        mode == ASYMMETRIC
    }

    /// Selects full fences. False: light fences were selected before, and calls may rely on them.
    pub(in super::super) fn use_portable() -> bool {
        decide(SYMMETRIC) == SYMMETRIC
    }

    fn decide(mode: u64) -> u64 {
        // AcqRel: Release pairs with the Acquire loads in `asymmetric` and `heavy` and with the Acquire of a failed
        // exchange here. Acquire (failure) pairs with the Release of the exchange that made the choice.
        match MODE.compare_exchange(UNDECIDED, mode, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => mode,
            Err(decided) => decided,
        }
    }

    /// The fence of a revoker: while this runs, every thread of the process executes a full fence.
    pub(in super::super) fn heavy() {
        // Acquire pairs with the AcqRel in `decide`. A revoker that finds no choice made needs a full fence only: no
        // call has stored a handle, because a thread calls `asymmetric` before it takes a record (`record/own.rs`,
        // `own`).
        if MODELLED || MODE.load(Ordering::Acquire) != ASYMMETRIC {
            return super::full();
        }
        // A child process may have to register with `membarrier` again.
        if membarrier(PRIVATE_EXPEDITED) || (membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)) {
            return;
        }
        refused();
    }

    /// `membarrier` worked before and is refused now, so a filter was installed in between. Calls rely on it, and there
    /// is no other way to make their threads fence. To continue could free a closure under a call.
    #[cold]
    fn refused() -> ! {
        eprintln!(
            "latecall: cannot revoke a callback: the system call membarrier was allowed when the first callback was called \
             and is refused now (was a seccomp filter installed?). Freeing the closure could be a use after free, so the \
             process aborts. Call latecall::registry::use_portable_fences() before the first callback is called."
        );
        std::process::abort();
    }
}

pub(super) use imp::{asymmetric, heavy, use_portable};
