//! `fork` with calls in flight on other threads, inside a callback, and while another thread holds a lock. S70, S71,
//! S73. One file: its tests share the allocator, and one of them forks at a time.
//!
//! Alone in its process, for two reasons. Its allocator stops a thread on request, so that the thread holds a lock at
//! the moment of a fork. And a child would inherit what other tests were in the middle of.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

mod support;

use latecall::registry::{Close, LateCall, LatePolicy, Quiescence, Revoked, Status};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use support::{Breakpoint, Callbacks, breakpoint, drop_probe, forked, owning};

unsafe extern "C" {
    fn _exit(status: c_int) -> !;
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// How many threads have been stopped in the allocator so far.
static STALLED: AtomicU32 = AtomicU32::new(0);
/// How many of them may go on.
static LET_GO: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Whether the next allocation of this thread stops.
    static STALL: Cell<bool> = const { Cell::new(false) };
    /// Whether the next time that this thread frees memory it stops.
    static STALL_FREE: Cell<bool> = const { Cell::new(false) };
}

struct Stalling;

#[global_allocator]
static ALLOCATOR: Stalling = Stalling;

fn stall(when: &'static thread::LocalKey<Cell<bool>>) {
    if when.replace(false) {
        let turn = STALLED.fetch_add(1, SeqCst) + 1;
        while LET_GO.load(SeqCst) < turn {
            thread::yield_now();
        }
    }
}

// SAFETY: every request is passed to the system's allocator unchanged, after a delay.
unsafe impl GlobalAlloc for Stalling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        stall(&STALL);
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        stall(&STALL_FREE);
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        stall(&STALL);
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// One test forks at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` in a child with enough time, and returns the value of `work`.
fn in_a_child(work: impl FnOnce() -> c_int) -> c_int {
    let status = forked(20, work);
    assert_eq!(status & 0x7f, 0, "the child was ended by signal {}", status & 0x7f);
    status >> 8
}

/// S70: another thread is inside a callback when this thread forks. In the child its call does not count, whether the
/// callback is revoked there or was revoked before. In the parent it still counts.
#[test]
fn calls_of_threads_that_a_fork_leaves_behind_do_not_count_in_the_child() {
    let _alone = alone();
    let registry = Callbacks::new();
    let breakpoints = [breakpoint(), breakpoint()];
    let [(one, one_controller), (two, two_controller)] = breakpoints;
    let (probes, watches): (Vec<_>, Vec<_>) = [drop_probe(), drop_probe()].into_iter().unzip();
    // The closures share their breakpoints with this frame: the child drops the closures, and must not drop with them a
    // channel whose lock the thread that is inside may have held when this one forked.
    let breakpoints = [one, two].map(|breakpoint| Arc::new(Mutex::new(breakpoint)));
    let mut owned = breakpoints.iter().cloned().zip(probes);
    let mut registrations = std::iter::repeat_with(|| {
        let (breakpoint, probe) = owned.next().unwrap();
        registry.register(Box::new(move || {
            let _owned = &probe;
            breakpoint.lock().unwrap().stop_here();
        }))
    });
    let (live, revoked) = (registrations.next().unwrap(), registrations.next().unwrap());
    let (live_handle, revoked_handle) = (live.handle(), revoked.handle());
    thread::scope(|scope| {
        let registry = &registry;
        for handle in [live_handle, revoked_handle] {
            scope.spawn(move || registry.call(handle.as_ptr(), |f| f()).is_ok());
        }
        one_controller.wait_until_stopped();
        two_controller.wait_until_stopped();
        assert_eq!(revoked.revoke(), Revoked::InFlight(1));
        let status = in_a_child(|| {
            let mut passed = 0;
            passed += c_int::from(registry.status(live_handle) == Ok(Status::Live(0)));
            passed += c_int::from(registry.revoke_and_wait(live_handle) == Ok(Quiescence::Quiescent));
            passed += c_int::from(registry.revoke_and_wait(revoked_handle) == Ok(Quiescence::Quiescent));
            passed += c_int::from(watches.iter().all(|watch| watch.drops() == 1));
            let again = registry.register(Box::new(|| ()));
            passed += c_int::from(registry.call(again.handle().as_ptr(), |f| f()).is_ok());
            passed += c_int::from(again.revoke() == Revoked::Removed);
            passed
        });
        assert_eq!(status, 6, "checks passed in the child");
        assert_eq!(registry.status(live_handle), Ok(Status::Live(1)), "nothing has changed in the parent");
        assert_eq!(registry.status(revoked_handle), Ok(Status::Revoking(1)));
        one_controller.resume();
        two_controller.resume();
    });
    drop(live);
    assert!(watches.iter().all(|watch| watch.drops() == 1));
}

/// S73: the thread that forks is inside a callback, and is still inside in the child.
#[test]
fn the_thread_that_forks_inside_a_callback_is_still_inside_in_the_child() {
    let _alone = alone();
    let registry = Callbacks::new();
    let handle = registry.register(Box::new(|| ())).leak();
    let status = registry
        .call(handle.as_ptr(), |_| {
            in_a_child(|| {
                let inside = registry.revoke_and_wait(handle) == Ok(Quiescence::DeferredToOuterFrame);
                c_int::from(inside && registry.status(handle) == Ok(Status::Revoking(1)))
            })
        })
        .unwrap();
    assert_eq!(status, 1);
}

/// Two threads are inside a callback and wait for it, and one of them forks. In the child the other thread's wait is
/// over.
#[test]
fn a_wait_inside_of_a_thread_that_a_fork_leaves_behind_is_over_in_the_child() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    REGISTRY.announce();
    let handle = REGISTRY.register(Box::new(|| ())).leak();
    let revoked = AtomicU32::new(0);
    let waits = || {
        let inside = |_: &_| {
            while revoked.load(SeqCst) == 0 {
                thread::yield_now();
            }
            REGISTRY.revoke_and_wait(handle)
        };
        REGISTRY.call(handle.as_ptr(), inside).unwrap()
    };
    thread::scope(|scope| {
        let other = REGISTRY
            .call(handle.as_ptr(), |_| {
                let other = scope.spawn(waits);
                while REGISTRY.status(handle) != Ok(Status::Live(2)) {
                    thread::yield_now();
                }
                assert_eq!(REGISTRY.revoke(handle), Ok(Revoked::InFlight(2)));
                revoked.store(1, SeqCst);
                // The other thread is about to sleep: some of these forks find it asleep.
                for _ in 0..20 {
                    let quiescence = || REGISTRY.revoke_and_wait(handle) == Ok(Quiescence::DeferredToOuterFrame);
                    assert_eq!(in_a_child(|| c_int::from(quiescence())), 1);
                }
                other
            })
            .unwrap();
        assert_eq!(other.join().unwrap(), Ok(Quiescence::DeferredToOuterFrame));
    });
}

/// Runs `f`, and stops the thread in its first allocation. Returns whether there was an allocation.
fn holding_up(f: impl FnOnce()) -> bool {
    STALL.set(true);
    f();
    !STALL.replace(false)
}

/// Forks while another thread is stopped in `work`. The child runs `then`, for which it has one second. Returns how the
/// child ended. The stopped thread goes on when the fork begins, if `at_begin`, otherwise after the child has ended.
fn fork_during(work: impl FnOnce() + Send, at_begin: bool, then: impl FnOnce()) -> c_int {
    extern "C" fn begins() {
        if AT_BEGIN.load(SeqCst) == 1 {
            LET_GO.store(STALLED.load(SeqCst), SeqCst);
        }
    }
    static AT_BEGIN: AtomicU32 = AtomicU32::new(0);
    static ASKED: AtomicU32 = AtomicU32::new(0);
    if ASKED.swap(1, SeqCst) == 0 {
        // SAFETY: the handler is a function of this program. It runs before the registry's handler, because the
        // registry has installed its own earlier.
        assert_eq!(unsafe { pthread_atfork(Some(begins), None, None) }, 0);
    }
    AT_BEGIN.store(u32::from(at_begin), SeqCst);
    let stalled = STALLED.load(SeqCst);
    thread::scope(|scope| {
        scope.spawn(work);
        while STALLED.load(SeqCst) == stalled {
            thread::yield_now();
        }
        let status = forked(1, || {
            then();
            7
        });
        LET_GO.store(stalled + 1, SeqCst);
        status
    })
}

const USABLE: c_int = 7 << 8;
const ENDED_BY_SIGALRM: c_int = 14;

/// Registers until a registration allocates, which it does under the registry's lock. The thread stops there.
fn fill(registry: &Callbacks) {
    // A closure of no size is not on the heap.
    let held_up = || holding_up(|| _ = registry.register(Box::new(|| ())).leak());
    assert!((0..10_000).any(|_| held_up()), "nothing was allocated");
}

fn use_it(registry: &Callbacks) {
    let registration = registry.register(Box::new(|| ()));
    assert!(registry.call(registration.handle().as_ptr(), |f| f()).is_ok());
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
}

/// S71: another thread holds the registry's lock when this thread forks. The fork waits for the lock.
#[test]
fn an_announced_registry_is_usable_in_the_child_whatever_others_were_doing() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    use_it(&REGISTRY);
    REGISTRY.announce();
    assert_eq!(fork_during(|| fill(&REGISTRY), true, || use_it(&REGISTRY)), USABLE);
    use_it(&REGISTRY);
}

/// A registry that is not announced: the child hangs. This shows that the test above can fail.
#[test]
fn a_registry_that_is_not_announced_may_hang_in_the_child() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    use_it(&REGISTRY);
    assert_eq!(fork_during(|| fill(&REGISTRY), false, || use_it(&REGISTRY)), ENDED_BY_SIGALRM);
    use_it(&REGISTRY);
}

/// S71: the registry of a signature is announced without a call of `announce`. If a lock does not come free in time,
/// the fork continues without it.
#[test]
fn the_registry_of_a_signature_is_announced_and_no_fork_waits_for_ever() {
    latecall::signature! {
        extern "C" fn Tick(user_data);
        panic = Abort;
    }
    let _alone = alone();
    let some = || drop(Tick::registry().register(Tick::shared(|| ())));
    let many = || {
        let held_up = |callback| holding_up(|| _ = Tick::registry().register(callback).leak());
        assert!((0..10_000).any(|_| held_up(Tick::shared(|| ()))), "nothing was allocated");
    };
    some();
    assert_eq!(fork_during(many, true, some), USABLE);
    assert_eq!(fork_during(many, false, some), ENDED_BY_SIGALRM);
    some();
}

/// S71: another thread holds the lock of the process's registry ids.
#[test]
fn a_new_registry_can_be_made_in_the_child_while_another_was_being_dropped() {
    let _alone = alone();
    let new = || {
        let registry = Callbacks::new();
        use_it(&registry);
        registry
    };
    // As many as it takes for the list of idle ids to grow: dropping a registry allocates nothing else.
    let many: Vec<_> = (0..200).map(|_| new()).collect();
    let drop_many = || assert!(holding_up(|| drop(many)), "nothing was allocated");
    assert_eq!(fork_during(drop_many, true, || drop(new())), USABLE);
}

/// Closes the registry in a child, and says in a number which checks passed.
fn close_in_the_child(registry: &Callbacks, registered: u64) -> c_int {
    let before = registry.stats();
    let answer = registry.close(Close::Drain);
    let after = registry.stats();
    let mut passed = c_int::from(before.registered == registered && before.live == before.registered - before.revoked);
    passed += 2 * c_int::from(answer == Quiescence::Quiescent);
    passed + 4 * c_int::from((after.live, after.revoking) == (0, 0))
}

/// S71: another thread is in the middle of a registration, where it frees the closure's box. What is counted is
/// registered: the child closes the registry and finds no registration that is neither live nor over.
#[test]
fn a_registration_that_a_fork_interrupts_is_whole_in_the_child() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    REGISTRY.announce();
    use_it(&REGISTRY);
    let captured = 5_u64;
    let register = || {
        let callback = Box::new(move || assert_eq!(captured, 5));
        STALL_FREE.set(true);
        let _ = REGISTRY.register(callback).leak();
        assert!(!STALL_FREE.replace(false), "nothing was freed");
    };
    let status = fork_during(register, false, || {
        if close_in_the_child(&REGISTRY, 2) != 7 {
            // SAFETY: ends the child, which then is not usable.
            unsafe { _exit(1) };
        }
    });
    assert_eq!(status, USABLE);
}

/// S71: another thread is inside a closure's destructor. In the child that registration is over as soon as a thread
/// asks: the rest of the destructor never runs there, and no thread waits for it.
#[test]
fn a_destructor_that_a_fork_leaves_behind_is_not_waited_for_in_the_child() {
    struct Stops(Breakpoint);
    impl Drop for Stops {
        fn drop(&mut self) {
            self.0.stop_here();
        }
    }
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    REGISTRY.announce();
    let (breakpoint, controller) = breakpoint();
    let stops = Mutex::new(Stops(breakpoint));
    let handle = REGISTRY.register(owning(stops)).leak();
    // And one that is deferred: nothing is missing for it.
    let deferred = REGISTRY.register(Box::new(|| ())).leak();
    assert_eq!(REGISTRY.revoke_deferred(deferred), Ok(true));
    thread::scope(|scope| {
        scope.spawn(|| REGISTRY.revoke(handle));
        controller.wait_until_stopped();
        let status = in_a_child(|| {
            let mut passed = c_int::from(REGISTRY.stats().revoking == 2);
            passed += c_int::from(REGISTRY.revoke(handle) == Ok(Revoked::AlreadyRevoked));
            passed += c_int::from(REGISTRY.revoke_and_wait(handle) == Ok(Quiescence::Quiescent));
            passed += c_int::from(REGISTRY.reclaim() == 1);
            passed + c_int::from((REGISTRY.stats().live, REGISTRY.stats().revoking) == (0, 0))
        });
        assert_eq!(status, 5, "checks passed in the child");
        assert_eq!(REGISTRY.status(handle), Ok(Status::Revoking(0)), "nothing has changed in the parent");
        controller.resume();
    });
    assert_eq!(REGISTRY.status(handle), Ok(Status::Revoked));
}

/// S71: other threads register and revoke, in every way, while this one forks again and again. Each child closes the
/// registry and finds every registration over.
#[test]
fn a_child_can_close_a_registry_that_others_were_using() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    static STOP: AtomicU32 = AtomicU32::new(0);
    REGISTRY.announce();
    use_it(&REGISTRY);
    thread::scope(|scope| {
        for seed in 0..3_u32 {
            scope.spawn(move || {
                let mut turn = seed;
                while STOP.load(SeqCst) == 0 {
                    turn += 1;
                    let captured = turn;
                    let builder = REGISTRY.builder();
                    let builder = if turn % 4 == 1 { builder.late_policy(LatePolicy::Count) } else { builder };
                    let builder = if turn % 4 == 2 { builder.destroy_notify(|| ()) } else { builder };
                    let registration = builder.register(Box::new(move || assert!(captured > 0)));
                    let _ = REGISTRY.call(registration.handle().as_ptr(), |f| f());
                    match turn % 3 {
                        0 => _ = registration.revoke(),
                        1 => registration.revoke_deferred(),
                        _ => drop(registration),
                    }
                }
            });
        }
        for round in 0..60 {
            let status = in_a_child(|| {
                let registered = REGISTRY.stats().registered;
                close_in_the_child(&REGISTRY, registered)
            });
            assert_eq!(status, 7, "checks passed in child {round}");
        }
        STOP.store(1, SeqCst);
    });
}

/// A late call of a registration with a policy of its own takes no lock. Another thread is stopped in an allocation
/// that it makes while it registers with a policy, and holds whatever locks that takes.
#[test]
fn a_late_call_takes_no_lock_for_its_policy() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    static SEEN: AtomicU32 = AtomicU32::new(0);
    fn seen(_: &LateCall<'_>) {
        SEEN.fetch_add(1, SeqCst);
    }
    let register = || REGISTRY.builder().late_policy(LatePolicy::Hook(seen)).register(Box::new(|| ()));
    let late = register().handle();
    // Room for everything else, so that what is allocated next is for the policies.
    (0..1_000).for_each(|_| _ = register().leak());
    let stalled = STALLED.load(SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| {
            let held_up = || holding_up(|| _ = register().leak());
            assert!((0..10_000).any(|_| held_up()), "nothing was allocated");
        });
        while STALLED.load(SeqCst) == stalled {
            thread::yield_now();
        }
        let (done, is_done) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let refused = REGISTRY.call(late.as_ptr(), |f| f()).is_err();
            done.send(refused).unwrap();
        });
        let refused = is_done.recv_timeout(support::LIMIT);
        LET_GO.store(stalled + 1, SeqCst);
        assert_eq!(refused, Ok(true), "the late call waits for a lock");
    });
    assert_eq!(SEEN.load(SeqCst), 1);
}
