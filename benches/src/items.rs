//! The unprotected twins, and the registry.

use crate::{Callback, Item, fire};
use latecall::registry::{Handle, Registration, Registry};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// The closure: one word, which it reads through.
pub struct Load(&'static AtomicU64);

impl Load {
    pub fn new() -> Self {
        Self(&NUMBER)
    }

    #[inline(always)]
    pub fn run(&self, x: u64) {
        black_box(self.0.load(Relaxed).wrapping_add(x));
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::new()
    }
}

/// A closure that makes C call another one, once.
pub struct Nest(Item);

impl Nest {
    #[inline(always)]
    fn run(&self, x: u64) {
        black_box(x);
        fire(self.0, 1);
    }
}

type Shared = dyn Fn(u64) + Send + Sync;

/// Functions that do the same in different places: how long a call takes depends on where in a line of the cache its
/// branches are. A registry for each, or the compiler would make one function of them.
pub const PLACES: usize = 4;

static GENERIC: [Registry<Load>; PLACES] = [const { Registry::new() }; PLACES];
static SHARED: [Registry<Shared>; PLACES] = [const { Registry::new() }; PLACES];
static NESTS: Registry<Nest> = Registry::new();

/// Another of the registry that `generic` items are in.
pub fn register() -> Registration<'static, Load> {
    GENERIC[0].register(Box::new(Load::new()))
}

fn shared() -> Box<Shared> {
    let load = Load::new();
    Box::new(move |x| load.run(x))
}

extern "C" fn raw(user_data: *mut c_void, x: u64) {
    // SAFETY: `make` leaked a `Load` for this.
    unsafe { &*user_data.cast::<Load>() }.run(x);
}

extern "C" fn raw_shared(user_data: *mut c_void, x: u64) {
    // SAFETY: `make` leaked a box for this.
    let f = unsafe { &*user_data.cast::<Box<Shared>>() };
    f(x);
}

extern "C" fn raw_nest(user_data: *mut c_void, x: u64) {
    // SAFETY: `make` leaked a `Nest` for this.
    unsafe { &*user_data.cast::<Nest>() }.run(x);
}

extern "C" fn generic<const PLACE: usize>(user_data: *mut c_void, x: u64) {
    let _ = GENERIC[PLACE].call(user_data, move |load| load.run(x));
}

extern "C" fn by_dyn<const PLACE: usize>(user_data: *mut c_void, x: u64) {
    let _ = SHARED[PLACE].call(user_data, move |f| f(x));
}

extern "C" fn nest(user_data: *mut c_void, x: u64) {
    let _ = NESTS.call(user_data, move |nest| nest.run(x));
}

fn leak<T>(value: T) -> *mut c_void {
    Box::into_raw(Box::new(value)).cast()
}

pub fn make(name: &str) -> Option<Item> {
    const GENERICS: [Callback; PLACES] = [generic::<0>, generic::<1>, generic::<2>, generic::<3>];
    const SHAREDS: [Callback; PLACES] = [by_dyn::<0>, by_dyn::<1>, by_dyn::<2>, by_dyn::<3>];
    let (name, place) =
        name.split_once('@').map_or(Some((name, 0)), |(name, place)| Some((name, place.parse().ok()?)))?;
    let generic = *GENERICS.get(place)?;
    let handle = |handle: Handle| handle.as_ptr();
    let (call, user_data): (Callback, _) = match name {
        "raw" => (raw, leak(Load::new())),
        "raw-shared" => (raw_shared, leak(shared())),
        "raw-nested" => (raw_nest, leak(Nest(make("raw")?))),
        "generic" => (generic, handle(GENERIC[place].register(Box::new(Load::new())).leak())),
        "shared" => (SHAREDS[place], handle(SHARED[place].register(shared()).leak())),
        "nested" => (nest, handle(NESTS.register(Box::new(Nest(make("generic")?))).leak())),
        "late" => (generic, handle(GENERIC[place].register(Box::new(Load::new())).handle())),
        "late-null" => (generic, ptr::null_mut()),
        _ => return None,
    };
    Some(Item { call, user_data })
}
