//! Handles: what is refused, why, and that nothing is read through one. S04, S09, S10, S11, S12, S83, S85.

use latecall::registry::{Handle, Reason, Registry, Revoked, Status};
use std::ffi::c_void;
use std::ptr;

type Callbacks = Registry<dyn Fn(u64) -> u64 + Send + Sync>;

fn call(registry: &Callbacks, user_data: *mut c_void) -> Result<u64, Reason> {
    registry.call(user_data, |f| f(500)).map_err(|late| late.reason())
}

/// Where each part of a handle begins on this target.
const GENERATION_SHIFT: u32 = if cfg!(target_pointer_width = "64") { 24 } else { 14 };
const ID_SHIFT: u32 = if cfg!(target_pointer_width = "64") { 52 } else { 26 };

/// S03, S04, S05: in order; and the wrong order, in which the callback never runs.
#[test]
fn a_call_after_the_owner_is_gone_is_late_and_runs_nothing() {
    let registry = Callbacks::new();
    let registration = registry.register(Box::new(|x| x + 1));
    let kept_by_c = registration.handle().as_ptr();
    assert_eq!(call(&registry, kept_by_c), Ok(501));
    drop(registration);
    for _ in 0..3 {
        assert_eq!(call(&registry, kept_by_c), Err(Reason::Stale));
    }
    assert_eq!(registry.stats().late.of(Reason::Stale), 3);
}

/// S09
#[test]
fn the_same_function_registered_twice_is_two_registrations() {
    fn twice(x: u64) -> u64 {
        2 * x
    }
    let registry = Callbacks::new();
    let one = registry.register(Box::new(twice));
    let other = registry.register(Box::new(twice));
    assert_ne!(one.handle(), other.handle());
    assert_eq!(one.revoke(), Revoked::Removed);
    assert_eq!(call(&registry, one.handle().as_ptr()), Err(Reason::Stale));
    assert_eq!(call(&registry, other.handle().as_ptr()), Ok(1000));
}

/// S10
#[test]
fn a_handle_that_went_through_c_finds_its_registration_or_says_what_became_of_it() {
    let registry = Callbacks::new();
    let registration = registry.register(Box::new(|x| x));
    let back = Handle::from_ptr(registration.handle().as_ptr());
    assert_eq!(back, registration.handle());
    assert_eq!(registry.status(back), Ok(Status::Live(0)));
    let inside = registry.call(back.as_ptr(), |_| registry.status(back)).unwrap();
    assert_eq!(inside, Ok(Status::Live(1)));
    drop(registration);
    assert_eq!(registry.status(back), Ok(Status::Revoked));
    let foreign = Handle::from_ptr((&raw const registry).cast_mut().cast());
    assert!(registry.status(foreign).is_err());
}

/// S11: each forgery has its own reason. The handles are plain integers, several of them addresses or nearly so; a
/// registry that read through one would crash here.
#[test]
fn forged_handles_are_refused_each_for_its_own_reason() {
    let registry = Callbacks::new();
    let live = registry.register(Box::new(|x| x));
    let stale = {
        let gone = registry.register(Box::new(|x| x));
        gone.handle()
    };
    let bits = live.handle().bits();
    let with_id = bits >> ID_SHIFT << ID_SHIFT;
    for (forged, reason) in [
        (0, Reason::Null),
        (usize::MAX, Reason::WrongRegistry),
        (bits ^ (1 << ID_SHIFT), Reason::WrongRegistry),
        (bits + 2, Reason::OutOfRange),
        (with_id | ((1 << GENERATION_SHIFT) - 1), Reason::OutOfRange),
        (bits + (1 << GENERATION_SHIFT), Reason::Unissued),
        (with_id | ((1 << (ID_SHIFT - GENERATION_SHIFT)) - 1) << GENERATION_SHIFT, Reason::Unissued),
        (with_id, Reason::Unissued),
        (stale.bits(), Reason::Stale),
    ] {
        let handle = Handle::from_bits(forged);
        assert_eq!(call(&registry, handle.as_ptr()), Err(reason), "{forged:#x}");
        assert!(registry.stats().late.of(reason) > 0, "{reason:?} is counted");
        if reason != Reason::Stale {
            assert_eq!(registry.revoke(handle).unwrap_err().reason(), reason, "{forged:#x}");
            assert_eq!(registry.revoke_and_wait(handle).unwrap_err().reason(), reason, "{forged:#x}");
        }
    }
    let freed = Box::into_raw(Box::new(0_u64));
    // SAFETY: it came from `Box::into_raw` just now.
    drop(unsafe { Box::from_raw(freed) });
    let on_stack = 0_u8;
    for address in [freed.cast(), (&raw const on_stack).cast_mut().cast(), ptr::without_provenance_mut(8)] {
        assert!(call(&registry, address).is_err(), "{address:?}");
    }
    assert_eq!(call(&registry, live.handle().as_ptr()), Ok(500), "no forgery did any harm");
}

/// Every single-bit change of a handle is refused, and none reaches the other live callback.
#[test]
fn no_flipped_bit_reaches_another_callback() {
    let registry = Callbacks::new();
    let one = registry.register(Box::new(|_| 1));
    let two = registry.register(Box::new(|_| 2));
    for bit in 0..usize::BITS {
        let flipped = Handle::from_bits(one.handle().bits() ^ (1 << bit));
        if flipped == two.handle() {
            continue; // That is not a forgery but the other handle.
        }
        assert!(call(&registry, flipped.as_ptr()).is_err(), "bit {bit}");
    }
}

/// S12: also through a copy of the handle, and after the registration is gone.
#[test]
fn revoking_twice_says_so_and_drops_once() {
    struct Counted(std::sync::mpsc::Sender<()>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (sender, dropped) = std::sync::mpsc::channel();
    let registry = Callbacks::new();
    let counted = Counted(sender);
    let registration = registry.register(Box::new(move |x| x + size_of_val(&counted) as u64));
    let copy = registration.handle();
    assert_eq!(registration.revoke(), Revoked::Removed);
    assert_eq!(registration.revoke(), Revoked::AlreadyRevoked);
    assert_eq!(registry.revoke(copy), Ok(Revoked::AlreadyRevoked));
    drop(registration);
    assert_eq!(registry.revoke(copy), Ok(Revoked::AlreadyRevoked));
    assert_eq!(dropped.iter().count(), 1);
    assert_eq!((registry.stats().revoked, registry.stats().closures_dropped), (1, 1));
}

/// S83
#[test]
fn a_handle_of_one_registry_means_nothing_to_another() {
    let (one, other) = (Callbacks::new(), Callbacks::new());
    let here = one.register(Box::new(|_| 1));
    let there = other.register(Box::new(|_| 2));
    assert_ne!(here.handle().registry_id(), there.handle().registry_id());
    assert_eq!(call(&other, here.handle().as_ptr()), Err(Reason::WrongRegistry));
    assert_eq!(call(&one, there.handle().as_ptr()), Err(Reason::WrongRegistry));
    assert_eq!(other.revoke(here.handle()).unwrap_err().reason(), Reason::WrongRegistry);
    assert_eq!(call(&one, here.handle().as_ptr()), Ok(1));
    let unused = Callbacks::new();
    assert_eq!(call(&unused, here.handle().as_ptr()), Err(Reason::WrongRegistry));
}

/// S85: the slot has a new tenant, which is not run, and the report has both generations.
#[test]
fn a_stale_handle_does_not_run_the_slots_new_tenant() {
    let registry = Callbacks::new().with_capacity_limit(1);
    let stale = registry.register(Box::new(|_| panic!("the old tenant"))).handle();
    let tenant = registry.register(Box::new(|_| panic!("the new tenant, run by a stale handle")));
    assert_eq!(tenant.handle().index(), stale.index());
    let late = registry.call(stale.as_ptr(), |f| f(1)).unwrap_err();
    assert_eq!(late.reason(), Reason::Stale);
    assert_eq!(late.handle().generation(), stale.generation());
    assert_eq!(late.current_generation(), Some(tenant.handle().generation()));
    assert_eq!(tenant.handle().generation(), stale.generation() + 1);
    let text = late.to_string();
    assert!(text.contains(&format!("generation {}", stale.generation())), "{text}");
    assert!(text.contains(&format!("the slot is at generation {}", tenant.handle().generation())), "{text}");
}

/// Owners, handles and errors go where they are needed; nothing of C's is tied to a thread.
#[test]
fn owners_and_handles_may_be_sent_and_shared() {
    fn both<T: Send + Sync>() {}
    both::<Callbacks>();
    both::<latecall::registry::Registration<'_, dyn Fn(u64) -> u64 + Send + Sync>>();
    both::<latecall::registry::Exhausted<dyn Fn(u64) -> u64 + Send + Sync>>();
    both::<Handle>();
    both::<latecall::registry::Rejected>();
    both::<latecall::registry::LateReport>();
    assert_eq!(size_of::<Handle>(), size_of::<*mut c_void>());
}
