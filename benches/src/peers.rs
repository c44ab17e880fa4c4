//! What else one could use: each protects the closure while it runs, and finds it by an index and a token, so that a
//! late call is refused (but for the counted `Arc`, which trusts the pointer, as UniFFI-style bindings do).

use crate::items::Load;
use crate::{Callback, Item};
use slotmap::{DefaultKey, Key, KeyData, SlotMap};
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

const SLOTS: usize = 1024;

/// A closure with the token that names it.
pub struct Node {
    token: usize,
    load: Load,
}

fn token() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let index = LAST.fetch_add(1, Ordering::Relaxed);
    assert!(index < SLOTS, "no more slots");
    1 << 24 | index
}

fn index(token: usize) -> usize {
    token & (SLOTS - 1)
}

fn node(token: usize) -> Node {
    Node { token, load: Load::new() }
}

extern "C" fn counted_arc(user_data: *mut c_void, x: u64) {
    let pointer = user_data.cast::<Load>().cast_const();
    // SAFETY: `make` leaked a share.
    unsafe { Arc::increment_strong_count(pointer) };
    // SAFETY: the share that was just added.
    unsafe { Arc::from_raw(pointer) }.run(x);
}

static EPOCH: [crossbeam_epoch::Atomic<Node>; SLOTS] = [const { crossbeam_epoch::Atomic::null() }; SLOTS];

extern "C" fn epoch(user_data: *mut c_void, x: u64) {
    let guard = crossbeam_epoch::pin();
    let found = EPOCH[index(user_data.addr())].load(Ordering::Acquire, &guard);
    // SAFETY: null, or stored by `make`, and nothing is retired before the guard is gone.
    match unsafe { found.as_ref() } {
        Some(node) if node.token == user_data.addr() => node.load.run(x),
        _ => {}
    }
}

static HAPHAZARD: OnceLock<Vec<haphazard::AtomicPtr<Node>>> = OnceLock::new();

thread_local! {
    static HAZARD: RefCell<Vec<haphazard::HazardPointer<'static>>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn hazard(user_data: *mut c_void, x: u64) {
    let mut pointer = HAZARD.with(|kept| kept.borrow_mut().pop()).unwrap_or_else(haphazard::HazardPointer::new);
    let slots = HAPHAZARD.get().expect("made");
    match slots[index(user_data.addr())].safe_load(&mut pointer) {
        Some(node) if node.token == user_data.addr() => node.load.run(x),
        _ => {}
    }
    HAZARD.with(|kept| kept.borrow_mut().push(pointer));
}

static COLLECTOR: OnceLock<seize::Collector> = OnceLock::new();
static SEIZE: [AtomicPtr<Node>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

extern "C" fn seized(user_data: *mut c_void, x: u64) {
    use seize::Guard;
    let guard = COLLECTOR.get().expect("made").enter();
    let found = guard.protect(&SEIZE[index(user_data.addr())], Ordering::Acquire);
    // SAFETY: null, or stored by `make`, and nothing is retired before the guard is gone.
    match unsafe { found.as_ref() } {
        Some(node) if node.token == user_data.addr() => node.load.run(x),
        _ => {}
    }
}

static SWAPS: OnceLock<Vec<arc_swap::ArcSwapOption<Node>>> = OnceLock::new();

extern "C" fn swapped(user_data: *mut c_void, x: u64) {
    match &*SWAPS.get().expect("made")[index(user_data.addr())].load() {
        Some(node) if node.token == user_data.addr() => node.load.run(x),
        _ => {}
    }
}

static LOCKED: OnceLock<RwLock<SlotMap<DefaultKey, Arc<Load>>>> = OnceLock::new();

extern "C" fn locked(user_data: *mut c_void, x: u64) {
    let key = DefaultKey::from(KeyData::from_ffi(user_data.addr() as u64));
    // Cloned, so that the closure may use the map.
    let found = LOCKED.get().expect("made").read().expect("not poisoned").get(key).cloned();
    if let Some(load) = found {
        load.run(x);
    }
}

pub const NAMES: [&str; 6] = ["counted-arc", "crossbeam-epoch", "haphazard", "seize", "arc-swap", "rwlock-slotmap"];

pub fn make(name: &str) -> Option<Item> {
    let as_pointer = |token: usize| ptr::without_provenance_mut(token);
    let (call, user_data): (Callback, *mut c_void) = match name {
        "counted-arc" => (counted_arc, Arc::into_raw(Arc::new(Load::new())).cast_mut().cast()),
        "crossbeam-epoch" => {
            let token = token();
            EPOCH[index(token)].store(crossbeam_epoch::Owned::new(node(token)), Ordering::Release);
            (epoch, as_pointer(token))
        }
        "haphazard" => {
            // SAFETY: null is allowed.
            let null = || unsafe { haphazard::AtomicPtr::new(ptr::null_mut()) };
            let slots = HAPHAZARD.get_or_init(|| (0..SLOTS).map(|_| null()).collect());
            let token = token();
            slots[index(token)].store(Box::new(node(token)));
            (hazard, as_pointer(token))
        }
        "seize" => {
            COLLECTOR.get_or_init(seize::Collector::new);
            let token = token();
            SEIZE[index(token)].store(Box::into_raw(Box::new(node(token))), Ordering::Release);
            (seized, as_pointer(token))
        }
        "arc-swap" => {
            let slots = SWAPS.get_or_init(|| (0..SLOTS).map(|_| arc_swap::ArcSwapOption::empty()).collect());
            let token = token();
            slots[index(token)].store(Some(Arc::new(node(token))));
            (swapped, as_pointer(token))
        }
        "rwlock-slotmap" => {
            let key = LOCKED.get_or_init(Default::default).write().expect("not poisoned").insert(Arc::new(Load::new()));
            (locked, as_pointer(key.data().as_ffi() as usize))
        }
        _ => return None,
    };
    Some(Item { call, user_data })
}
