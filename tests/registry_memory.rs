//! Memory: many registrations in turn lose none, calls allocate none, and a failed allocation leaves no half
//! registration. S48, S90.

use latecall::registry::{Reason, Registry, Shortage};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

type Callbacks = Registry<dyn Fn() -> u64 + Send + Sync>;

/// Counts the thread's allocations and bytes, and fails an allocation on request.
struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Allocations until the one that fails; none fails at `u64::MAX`.
    static FAIL_IN: Cell<u64> = const { Cell::new(u64::MAX) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every request is passed on to the system's allocator as it is, or refused, which is allowed.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match FAIL_IN.get() {
            0 => return std::ptr::null_mut(),
            u64::MAX => {}
            left => FAIL_IN.set(left - 1),
        }
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// S90: a million registrations, each called once and revoked. At the end the registry uses as many bytes as when the
/// tombstones were first complete.
#[test]
fn a_million_registrations_leave_memory_flat() {
    const ROUNDS: u64 = 1_000_000;
    let before = BYTES.get();
    let registry = Callbacks::new();
    let mut settled = None;
    for round in 0..ROUNDS {
        let registration = registry.register(Box::new(move || round));
        let handle = registration.handle();
        assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap(), round);
        drop(registration);
        assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Stale);
        if round == 5_000 {
            settled = Some(BYTES.get());
        }
    }
    assert_eq!(Some(BYTES.get()), settled, "bytes in use");
    let stats = registry.stats();
    assert_eq!((stats.live, stats.revoking, stats.registered), (0, 0, ROUNDS));
    assert_eq!((stats.closures_dropped, stats.late.total()), (ROUNDS, ROUNDS));
    assert_eq!(stats.tombstones, 1000);
    assert!(stats.slots_used <= 1001, "{} slots for one callback at a time", stats.slots_used);
    drop(registry);
    assert_eq!(BYTES.get(), before, "everything is given back");
}

/// Calls, live or late, allocate nothing once the thread has called before. Once a registry is warm, registering
/// allocates only the caller's box, which a closure without captures does not need.
#[test]
fn calls_live_or_late_allocate_nothing() {
    let registry = Callbacks::new();
    let live = registry.register(Box::new(|| 1));
    let stale = registry.register(Box::new(|| 2)).handle();
    // The first call of a thread may allocate: it takes a record and registers the thread's destructor.
    assert_eq!(registry.call(live.handle().as_ptr(), |f| f()).unwrap(), 1);
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        assert_eq!(registry.call(live.handle().as_ptr(), |f| f()).unwrap(), 1);
        assert_eq!(registry.call(stale.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Stale);
        assert!(registry.call(std::ptr::null_mut(), |f| f()).is_err());
    }
    assert_eq!(ALLOCATIONS.get(), before, "a call, live or late");
    let warm = (0..2_000).map(|_| registry.register(Box::new(|| 3))).collect::<Vec<_>>();
    drop(warm);
    let middle = ALLOCATIONS.get();
    let boxed: Box<dyn Fn() -> u64 + Send + Sync> = Box::new(|| 4);
    drop(registry.register(boxed));
    assert_eq!(
        ALLOCATIONS.get(),
        middle,
        "a closure without captures needs no box, and the registry has room for its notes"
    );
    assert!(middle > before);
}

/// S48: each allocation of a registration fails in turn, at table sizes at which registering allocates never, once, or
/// several times. The closure comes back, nothing counts as registered, and the next attempt works.
#[test]
fn no_failed_allocation_leaves_a_half_registration() {
    let registry = Callbacks::new();
    let mut kept = Vec::with_capacity(1000);
    let mut failures = 0;
    for round in 0..200_u64 {
        for fail_in in 0.. {
            let callback: Box<dyn Fn() -> u64 + Send + Sync> = Box::new(move || round);
            let before = registry.stats();
            FAIL_IN.set(fail_in);
            let outcome = registry.try_register(callback);
            FAIL_IN.set(u64::MAX);
            match outcome {
                Ok(registration) => {
                    assert_eq!(registry.call(registration.handle().as_ptr(), |f| f()).unwrap(), round);
                    kept.push(registration);
                    break;
                }
                Err(exhausted) => {
                    failures += 1;
                    assert_eq!(exhausted.shortage(), Shortage::Memory);
                    assert_eq!(exhausted.into_callback()(), round);
                    assert_eq!(registry.stats(), before, "nothing was half-registered");
                }
            }
        }
    }
    assert!(failures >= 10, "only {failures} allocations were made to fail");
    // Revoking needs no memory that was not reserved when registering.
    FAIL_IN.set(0);
    kept.drain(..).for_each(drop);
    FAIL_IN.set(u64::MAX);
    assert_eq!((registry.stats().live, registry.stats().closures_dropped), (0, 200));
}

/// S48: each allocation of a thunk fails in turn, those of making code pages, too. The callback comes back, no address
/// is lost, and the next attempt works.
#[test]
fn no_failed_allocation_loses_a_thunk() {
    use latecall::thunk::Thunk;
    const PAGES: bool = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));
    latecall::signature! {
        extern "C" fn Number() -> u64;
        late = u64::MAX;
        panic = Abort;
        pool = (if PAGES { 1 } else { 400 });
    }
    let mut kept = Vec::with_capacity(400);
    kept.push(Number::thunk(|| 0)); // The first registration announces the registry.
    let mut failures = 0;
    for round in 1..400_u64 {
        for fail_in in 0.. {
            let callback = Number::shared(move || round);
            FAIL_IN.set(fail_in);
            let outcome = Thunk::<Number>::try_new(callback);
            FAIL_IN.set(u64::MAX);
            match outcome {
                Ok(thunk) => {
                    kept.push(thunk);
                    break;
                }
                Err(exhausted) => {
                    failures += 1;
                    assert!(matches!(exhausted.shortage(), Shortage::Memory | Shortage::Thunks));
                    assert_eq!(Number::registry().stats().live, round, "nothing was half-registered");
                }
            }
        }
    }
    assert!(failures >= 10, "only {failures} allocations were made to fail");
    for (round, thunk) in (0..).zip(&kept) {
        assert_eq!(thunk.as_fn()(), round);
    }
    FAIL_IN.set(0);
    kept.drain(..).for_each(drop);
    FAIL_IN.set(u64::MAX);
    assert_eq!(Number::registry().stats().live, 0);
}
