//! `fork`: with calls in flight elsewhere, inside a callback, and while another thread has a lock. S70, S71, S73.
//!
//! Alone in its process: it installs an allocator that holds a thread up on request, which is how a thread is made to have a
//! lock at the moment of a fork, and forks. What other tests do meanwhile a child would inherit half done.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

mod support;

use latecall::registry::{Quiescence, Revoked, Status};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use support::{Callbacks, grave, meeting};

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: u32) -> u32;
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// Threads that are held up in the allocator.
static STALLED: AtomicU32 = AtomicU32::new(0);
/// They may go on.
static LET_GO: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The next allocation of this thread is to be held up.
    static STALL: Cell<bool> = const { Cell::new(false) };
}

struct Stalling;

#[global_allocator]
static ALLOCATOR: Stalling = Stalling;

fn stall() {
    if STALL.replace(false) {
        let turn = STALLED.fetch_add(1, SeqCst) + 1;
        while LET_GO.load(SeqCst) < turn {
            thread::yield_now();
        }
    }
}

// SAFETY: the system's, after a while.
unsafe impl GlobalAlloc for Stalling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        stall();
        // SAFETY: the caller's promise is the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        stall();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// One test forks at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` in a child made by `fork` and says how it ended, as `waitpid` does. `work` must not panic; it has `seconds`,
/// and is ended by SIGALRM then.
fn forked(seconds: u32, work: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the child runs `work`, which uses the registry and the allocator, and ends without running anything else.
    let child = unsafe { fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: a child that hangs is ended by a signal, which the parent reports.
        unsafe { alarm(seconds) };
        let status = work();
        // SAFETY: ends the child.
        unsafe { _exit(status) };
    }
    let mut status = 0;
    // SAFETY: `status` may be written.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    status
}

/// The same with time enough: answers what `work` does.
fn in_a_child(work: impl FnOnce() -> c_int) -> c_int {
    let status = forked(20, work);
    assert_eq!(status & 0x7f, 0, "the child was ended by signal {}", status & 0x7f);
    status >> 8
}

/// S70: another thread is inside a callback when this one forks. In the child that call does not count, whether the callback
/// is revoked there or was revoked before; in the parent it counts as ever.
#[test]
fn calls_of_threads_that_a_fork_leaves_behind_do_not_count_in_the_child() {
    let _alone = alone();
    let registry = Callbacks::new();
    let meetings = [meeting(), meeting()];
    let [(one, one_host), (two, two_host)] = meetings;
    let (graves, watches): (Vec<_>, Vec<_>) = [grave(), grave()].into_iter().unzip();
    // The closures share their visitors with this frame: the child drops the closures, and must not drop with them a channel
    // whose lock the thread that is inside may have held when this one forked.
    let visitors = [one, two].map(|visitor| Arc::new(Mutex::new(visitor)));
    let mut owned = visitors.iter().cloned().zip(graves);
    let mut registrations = std::iter::repeat_with(|| {
        let (visitor, grave) = owned.next().unwrap();
        registry.register(Box::new(move || {
            let _owned = &grave;
            visitor.lock().unwrap().stop_here();
        }))
    });
    let (live, revoked) = (registrations.next().unwrap(), registrations.next().unwrap());
    let (live_handle, revoked_handle) = (live.handle(), revoked.handle());
    thread::scope(|scope| {
        let registry = &registry;
        for handle in [live_handle, revoked_handle] {
            scope.spawn(move || registry.call(handle.as_ptr(), |f| f()).is_ok());
        }
        one_host.wait_for_visitor();
        two_host.wait_for_visitor();
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
        one_host.let_go();
        two_host.let_go();
    });
    drop(live);
    assert!(watches.iter().all(|watch| watch.drops() == 1));
}

/// S73: the thread that forks is itself inside; in the child it still is.
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

/// A callback that another thread waits for from inside it, as does this one. In the child that wait is over with its thread:
/// nobody is left to be excused for.
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
                // The other thread is on its way to sleep: some of these find it there.
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

/// Runs `f`, and holds the thread up in its first allocation. Whether there was one.
fn holding_up(f: impl FnOnce()) -> bool {
    STALL.set(true);
    f();
    !STALL.replace(false)
}

/// Forks while another thread is held up in `work`, and answers how a child ends that does `then`, with a second to do it in.
/// The thread goes on when the fork has begun (`at_begin`), or else when it is over.
fn fork_during(work: impl FnOnce() + Send, at_begin: bool, then: impl FnOnce()) -> c_int {
    extern "C" fn begins() {
        if AT_BEGIN.load(SeqCst) == 1 {
            LET_GO.store(STALLED.load(SeqCst), SeqCst);
        }
    }
    static AT_BEGIN: AtomicU32 = AtomicU32::new(0);
    static ASKED: AtomicU32 = AtomicU32::new(0);
    if ASKED.swap(1, SeqCst) == 0 {
        // SAFETY: a function of this program. Later handlers are the first to run when a fork begins: the registry has
        // installed its own before.
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

/// Registers until that allocates, which it does under the registry's lock, and is held up there.
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

/// S71: another thread has the registry's lock at the moment of the fork. The fork waits for it.
#[test]
fn an_announced_registry_is_usable_in_the_child_whatever_others_were_doing() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    use_it(&REGISTRY);
    REGISTRY.announce();
    assert_eq!(fork_during(|| fill(&REGISTRY), true, || use_it(&REGISTRY)), USABLE);
    use_it(&REGISTRY);
}

/// The same registry, of which forks do not know: the child hangs. So the test above can fail.
#[test]
fn a_registry_that_is_not_announced_may_hang_in_the_child() {
    let _alone = alone();
    static REGISTRY: Callbacks = Callbacks::new();
    use_it(&REGISTRY);
    assert_eq!(fork_during(|| fill(&REGISTRY), false, || use_it(&REGISTRY)), ENDED_BY_SIGALRM);
    use_it(&REGISTRY);
}

/// S71 for a signature's registry, which nobody has to tell of it; and a fork that the lock does not come free for goes on
/// without it.
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

/// S71 for the lock of the process's registry ids.
#[test]
fn a_new_registry_can_be_made_in_the_child_while_another_was_being_dropped() {
    let _alone = alone();
    let new = || {
        let registry = Callbacks::new();
        use_it(&registry);
        registry
    };
    // As many as it takes for the list of ids to grow: its memory is the only one that dropping asks for.
    let many: Vec<_> = (0..200).map(|_| new()).collect();
    let drop_many = || assert!(holding_up(|| drop(many)), "nothing was allocated");
    assert_eq!(fork_during(drop_many, true, || drop(new())), USABLE);
}
