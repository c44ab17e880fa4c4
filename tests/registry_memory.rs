//! Memory: many registrations in turn lose none, calls allocate none, and a failed allocation leaves no half
//! registration. One file: its tests share the allocator. S48, S90.

mod support;

use latecall::registry::{Close, Handle, LatePolicy, Quiescence, Reason, Registry, Revoked, Shortage, Status};
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
    /// Whether one allocation fails, or all from that one on.
    static ONCE: Cell<bool> = const { Cell::new(false) };
    /// Allocations that have failed.
    static FAILED: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every request is passed on to the system's allocator as it is, or refused, which is allowed.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match FAIL_IN.get() {
            0 => {
                FAILED.set(FAILED.get() + 1);
                if ONCE.get() {
                    FAIL_IN.set(u64::MAX);
                }
                return std::ptr::null_mut();
            }
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
    // In a process of its own: the list of idle registry ids belongs to the process, and grows on whichever thread
    // drops a registry at that moment.
    support::isolated(&a_million_registrations_leave_memory_flat, million_registrations);
}

fn million_registrations() {
    const ROUNDS: u64 = 1_000_000;
    // From here on the list of idle ids has room for another one.
    let other = Callbacks::new();
    drop(other.register(Box::new(|| 0)));
    drop(other);
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

/// Runs `verb` on what `prepare` has made, and fails its first allocation, then its second, and so on, until none
/// fails; first that one alone, then all from that one on. `check` gets the answer, and whether an allocation has
/// failed. An abort ends the test. Returns how many runs had a failure.
fn fail_each<P, A>(prepare: impl Fn() -> P, verb: impl Fn(P) -> A, check: impl Fn(A, bool)) -> u64 {
    let mut failures = 0;
    for once in [true, false] {
        for number in 0.. {
            let prepared = prepare();
            FAILED.set(0);
            ONCE.set(once);
            FAIL_IN.set(number);
            let answer = verb(prepared);
            FAIL_IN.set(u64::MAX);
            ONCE.set(false);
            let failed = FAILED.get() > 0;
            check(answer, failed);
            if !failed {
                break;
            }
            failures += 1;
        }
    }
    failures
}

/// A registry that has allocated nothing but what one registration and one call need.
fn fresh() -> &'static Callbacks {
    let registry: &'static Callbacks = Box::leak(Box::new(Registry::new()));
    let first = registry.register(Box::new(|| 0));
    registry.call(first.handle().as_ptr(), |f| f()).unwrap();
    let _ = first.leak();
    registry
}

fn live() -> (&'static Callbacks, Handle) {
    let registry = fresh();
    (registry, registry.register(Box::new(|| 1)).leak())
}

/// S48: no verb that registers aborts: the failure is a value, and nothing is half registered.
#[test]
fn a_registration_of_any_kind_survives_each_failed_allocation() {
    let untouched = || -> &'static Callbacks { Box::leak(Box::new(Registry::new())) };
    for start in [untouched, fresh] {
        for kind in 0..8 {
            let prepare = || {
                let registry = start();
                let builder = registry.builder();
                let builder = if kind & 1 != 0 { builder.late_policy(LatePolicy::Count) } else { builder };
                let builder = if kind & 2 != 0 { builder.destroy_notify(|| ()) } else { builder };
                let builder = if kind & 4 != 0 { builder.label("labelled") } else { builder };
                let callback: Box<dyn Fn() -> u64 + Send + Sync> = Box::new(|| 5);
                (registry, builder, callback, registry.stats())
            };
            let verb = |(registry, builder, callback, before): (
                &'static Callbacks,
                latecall::registry::Builder<'static, _>,
                _,
                _,
            )| {
                let made =
                    builder.try_register(callback).map(|it| it.leak()).map_err(|e| (e.shortage(), e.into_callback()));
                (registry, made, before)
            };
            fail_each(prepare, verb, |(registry, made, before), failed| match made {
                Ok(handle) => assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap(), 5),
                Err((shortage, callback)) => {
                    assert!(failed);
                    assert_eq!((shortage, callback()), (Shortage::Memory, 5));
                    assert_eq!(registry.stats(), before, "nothing was half registered");
                }
            });
        }
    }
}

/// S48: every verb that ends something does so without memory, and says the same as with it.
#[test]
fn every_verb_that_ends_something_survives_each_failed_allocation() {
    let over = |(registry, handle): (&Callbacks, Handle)| assert_eq!(registry.status(handle), Ok(Status::Revoked));
    fail_each(
        live,
        |it| (it, it.0.revoke(it.1)),
        |(it, answer), _| {
            assert_eq!(answer, Ok(Revoked::Removed));
            over(it);
        },
    );
    type Wait = fn(&Callbacks, Handle) -> Result<Quiescence, latecall::registry::Rejected>;
    let waits: [Wait; 3] = [
        |registry, handle| registry.revoke_and_wait(handle),
        |registry, handle| registry.try_revoke_and_wait(handle),
        |registry, handle| registry.revoke_and_wait_for(handle, std::time::Duration::from_secs(30)),
    ];
    for wait in waits {
        fail_each(
            live,
            |it| (it, wait(it.0, it.1)),
            |(it, answer), _| {
                assert_eq!(answer, Ok(Quiescence::Quiescent));
                over(it);
            },
        );
        // From inside the callback itself, and from inside another one.
        let inside = |it: (&'static Callbacks, Handle)| (it, it.0.call(it.1.as_ptr(), |_| wait(it.0, it.1)).unwrap());
        fail_each(live, inside, |(it, answer), _| {
            assert_eq!(answer, Ok(Quiescence::DeferredToOuterFrame));
            over(it);
        });
        let prepare = || (live(), live());
        let other = |(it, other): ((&'static Callbacks, Handle), (&'static Callbacks, Handle))| {
            (it, other.0.call(other.1.as_ptr(), |_| wait(it.0, it.1)).unwrap())
        };
        fail_each(prepare, other, |(it, answer), _| {
            assert_eq!(answer, Ok(Quiescence::Quiescent));
            over(it);
        });
    }
    fail_each(
        live,
        |it| (it, it.0.revoke_deferred(it.1), it.0.reclaim()),
        |(it, answer, _), _| {
            assert_eq!(answer, Ok(true));
            over(it);
        },
    );
    fail_each(
        live,
        |it| (it, it.0.revoke_then(it.1, || ())),
        |(it, answer), failed| match answer {
            Ok(revoked) => {
                assert_eq!(revoked, Revoked::Removed);
                over(it);
            }
            Err(rejected) => {
                assert_eq!((failed, rejected.reason()), (true, Reason::Exhausted));
                assert_eq!(it.0.status(it.1), Ok(Status::Live(0)), "nothing was revoked");
            }
        },
    );
    fail_each(
        live,
        |it| (it, it.0.revoke_async(it.1).map(drop)),
        |(it, answer), failed| match answer {
            Ok(()) => over(it),
            Err(rejected) => assert_eq!((failed, rejected.reason()), (true, Reason::Exhausted)),
        },
    );
    for how in [Close::Drain, Close::Abort, Close::Leave] {
        fail_each(
            live,
            |it| (it, it.0.close(how)),
            |(it, answer), _| {
                assert_eq!(answer, Quiescence::Quiescent);
                over(it);
            },
        );
    }
    let deferred = || {
        let it = live();
        it.0.revoke_deferred(it.1).unwrap();
        it
    };
    fail_each(
        deferred,
        |it| (it, it.0.barrier()),
        |(it, answer), _| {
            assert_eq!(answer, Quiescence::Quiescent);
            over(it);
        },
    );
    fail_each(
        deferred,
        |it| (it, it.0.reclaim()),
        |(it, answer), _| {
            assert_eq!(answer, 1);
            over(it);
        },
    );
    // Dropping a registry: here its id goes back to the process.
    let registry = || {
        let registry = Callbacks::new();
        let _ = registry.register(Box::new(|| 1)).leak();
        registry
    };
    fail_each(registry, drop, |(), _| ());
}

/// S48: calls, announcing and forking.
#[test]
fn calls_announcing_and_forking_survive_each_failed_allocation() {
    fail_each(fresh, Registry::announce, |(), _| ());
    let named = || {
        let registry: &'static Callbacks = Box::leak(Box::new(Registry::new().with_named_callers()));
        (registry, registry.register(Box::new(|| 1)).leak())
    };
    for start in [live, named] {
        fail_each(
            start,
            |(registry, handle)| registry.call(handle.as_ptr(), |f| f()).ok(),
            |answer, _| {
                assert_eq!(answer, Some(1));
            },
        );
    }
    // Deeper than the fixed records reach: a call is refused, and none aborts.
    fn nest(registry: &Callbacks, handle: Handle, depth: u32) -> Result<(), Reason> {
        let deeper = || if depth == 0 { Ok(()) } else { nest(registry, handle, depth - 1) };
        registry.call(handle.as_ptr(), |_| deeper()).map_err(|late| late.reason()).and_then(|inner| inner)
    }
    let refused = Cell::new(0);
    fail_each(
        live,
        |(registry, handle)| nest(registry, handle, 200),
        |answer, failed| match answer {
            Ok(()) => {}
            Err(reason) => {
                refused.set(refused.get() + 1);
                assert_eq!((failed, reason), (true, Reason::Exhausted));
            }
        },
    );
    assert!(refused.get() > 0, "no nesting needed memory");
    fresh().announce();
    fail_each(|| (), |()| support::fork_child(20, || 0), |child, _| assert_eq!(support::wait_for_child(child), 0));
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
