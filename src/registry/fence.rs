//! The fence that callers do not pay for.
//!
//! A call publishes its handle and then reads the slot's word; a revoker changes the word and then reads what calls have
//! published. One of the two must see the other, which takes a full fence on both sides, or on one side a *light* fence,
//! which only keeps the compiler from reordering, and on the other a *heavy* one, which makes every thread of the
//! process execute a full fence where it stands: Linux's `membarrier` (`PRIVATE_EXPEDITED`). A light fence and a heavy one
//! are then ordered as two full fences are; two light ones are not ordered at all.
//!
//! Where `membarrier` does not exist or is refused (an old kernel, a seccomp filter, another system, Miri), both sides
//! execute full fences. The choice is made once, before the first call of the process can be published, and is kept:
//! a thread that has begun with light fences cannot be told to stop.
//!
//! Under loom both are the full fences that they amount to.

use super::sync::{MODELLED, Ordering, fence};
use std::sync::atomic::compiler_fence;

/// The caller's side, on the fast path. Pairs with [`heavy`].
#[inline(always)]
pub(super) fn light() {
    if MODELLED {
        full();
    } else {
        // SeqCst, of the compiler alone: the store before is not moved after the load behind. The processor's part is
        // played by `heavy`. Calls come here with light fences only when `asymmetric` has said that `heavy` does.
        compiler_fence(Ordering::SeqCst);
    }
}

/// The caller's side where it is not known which kind of fences are in use: off the fast path.
pub(super) fn callers() {
    if asymmetric() { light() } else { full() }
}

/// A fence that is full by itself. Pairs with [`heavy`] and with itself.
#[inline]
pub(super) fn full() {
    // SeqCst: the one total order of full fences is what makes one of two such pairs see the other.
    fence(Ordering::SeqCst);
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod imp {
    /// Whether callers may do with light fences.
    pub(in super::super) fn asymmetric() -> bool {
        false
    }

    /// The revoker's side.
    pub(in super::super) fn heavy() {
        super::full();
    }

    /// Full fences it is, whatever was asked.
    pub(in super::super) fn use_portable() -> bool {
        true
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod imp {
    use super::super::sync::{Counter, MODELLED, Ordering};
    use std::ffi::{c_int, c_long};

    /// The decision. A process-wide fact, not modelled.
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
        // SAFETY: `membarrier` takes three integers and touches no memory of ours; an unknown number or command, or one
        // that is refused, is answered with an error.
        unsafe { syscall(number, command, flags, cpu) == 0 }
    }

    /// Whether callers may do with light fences. The first to ask decides, for ever.
    pub(in super::super) fn asymmetric() -> bool {
        if MODELLED {
            return true; // What a light fence is in a model is `light`'s affair.
        }
        // Acquire pairs with the AcqRel below: who sees the decision sees that the process is registered.
        let mode = match MODE.load(Ordering::Acquire) {
            UNDECIDED => decide(if membarrier(REGISTER_PRIVATE_EXPEDITED) { ASYMMETRIC } else { SYMMETRIC }),
            decided => decided,
        };
        mode == ASYMMETRIC
    }

    /// Full fences for good. False if calls have begun with light ones.
    pub(in super::super) fn use_portable() -> bool {
        decide(SYMMETRIC) == SYMMETRIC
    }

    fn decide(mode: u64) -> u64 {
        // AcqRel pairs with itself and with the Acquire above. Acquire (failure): the same.
        match MODE.compare_exchange(UNDECIDED, mode, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => mode,
            Err(decided) => decided,
        }
    }

    /// The revoker's side: when it returns, every thread of the process has executed a full fence since it was called.
    pub(in super::super) fn heavy() {
        // Acquire: as above. A revoker that finds nothing decided can be met by no call that was published before it: to
        // publish, a thread needs a record, and to have one is to have asked; so the full fence will do.
        if MODELLED || MODE.load(Ordering::Acquire) != ASYMMETRIC {
            return super::full();
        }
        // A child process may have to register again.
        if membarrier(PRIVATE_EXPEDITED) || (membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)) {
            return;
        }
        refused();
    }

    /// `membarrier` worked and works no longer: a filter was installed since. Callers rely on it, and there is no second
    /// way to make them fence. Going on could free a closure under a call.
    #[cold]
    fn refused() -> ! {
        eprintln!(
            "latecall: membarrier was allowed when the first callback was called and is refused now, so no callback can \
             be revoked safely; call latecall::registry::use_portable_fences() before the first call if a seccomp filter \
             is installed later. Aborting."
        );
        std::process::abort();
    }
}

pub(super) use imp::{asymmetric, heavy, use_portable};
