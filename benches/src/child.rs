//! One measurement, in a process of its own. Prints lines of a name and a number.

use libloading::Library;
use speed::items::{Load, PLACES, register};
use speed::{Item, fire, make};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

/// Rounds in a process; the fastest is the process's figure.
const ROUNDS: u32 = 25;
/// Calls a round: a few milliseconds.
const CALLS: u64 = 1_000_000;
const PAIRS: u64 = 100_000;

/// Counts bytes in use, for the memory row.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every request is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNT.load(Relaxed) {
            BYTES.fetch_add(layout.size(), Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if COUNT.load(Relaxed) {
            BYTES.fetch_add(layout.size(), Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNT.load(Relaxed) {
            BYTES.fetch_sub(layout.size(), Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Nanoseconds of `work`, which does something `times` times: the fastest of a few rounds.
fn fastest(times: u64, mut work: impl FnMut()) -> f64 {
    work();
    let round = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        began.elapsed().as_nanos() as f64 / times as f64
    };
    (0..ROUNDS).map(|_| round(&mut work)).fold(f64::INFINITY, f64::min)
}

/// From the shared object beside this program, which stays open.
fn make_in_cdylib(name: &str) -> Option<Item> {
    let me = std::env::current_exe().ok()?;
    let path = me.parent()?.join(format!("{}speed{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    // SAFETY: our own library; its initialisers do nothing.
    let library = Box::leak(Box::new(unsafe { Library::new(path) }.ok()?));
    type Make = unsafe extern "C" fn(*const std::ffi::c_char, *mut Item) -> bool;
    // SAFETY: the function has this type.
    let make = unsafe { library.get::<Make>(b"latecall_speed_make\0") }.ok()?;
    let name = CString::new(name).ok()?;
    let mut item = MaybeUninit::uninit();
    // SAFETY: (1) a C string. (2) room for one.
    let made = unsafe { make(name.as_ptr(), item.as_mut_ptr()) };
    // SAFETY: it was made.
    made.then(|| unsafe { item.assume_init() })
}

/// Two threads at once; the mean of what each needs for a call, in the fastest round.
fn by_two(work: impl Fn() + Sync, times: u64) -> f64 {
    let start = Barrier::new(2);
    let one = || {
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            start.wait();
            let began = Instant::now();
            work();
            best = best.min(began.elapsed().as_nanos() as f64 / times as f64);
        }
        best
    };
    thread::scope(|scope| {
        let other = scope.spawn(one);
        (one() + other.join().unwrap()) / 2.0
    })
}

/// Runs `work` while another thread calls one callback all the time.
fn under_fire<T>(work: impl FnOnce() -> T) -> T {
    let item = make("generic").expect("an item");
    let stop = AtomicBool::new(false);
    let up = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            fire(item, 1);
            up.wait();
            while !stop.load(Relaxed) {
                fire(item, 1000);
            }
        });
        up.wait();
        let result = work();
        stop.store(true, Relaxed);
        result
    })
}

fn membarrier() {
    const PRIVATE_EXPEDITED: libc::c_int = 8;
    // SAFETY: touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) };
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn each(times: u32, mut work: impl FnMut()) -> f64 {
    let one = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        began.elapsed().as_nanos() as f64
    };
    median((0..times).map(|_| one(&mut work)).collect())
}

fn crowd() -> Vec<impl Drop> {
    (0..1000).map(|_| register()).collect()
}

fn pairs_now() {
    for _ in 0..PAIRS {
        drop(register());
    }
}

fn pairs_deferred() {
    for _ in 0..PAIRS {
        register().revoke_deferred();
    }
}

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(f64::NAN) * 4096.0
}

pub(crate) fn run(name: &str, round: usize) {
    let say = |value: f64| println!("{name} {value}");
    let placed = |item: &str| match item {
        "generic" | "shared" => format!("{item}@{}", round % PLACES),
        other => other.to_owned(),
    };
    match name.split_once('/') {
        Some(("call", item)) => {
            let item = make(&placed(item)).expect("an item of that name");
            say(fastest(CALLS, || fire(item, CALLS)));
        }
        Some(("cdylib", item)) => {
            let item = make_in_cdylib(&placed(item)).expect("the shared object beside this program");
            say(fastest(CALLS, || fire(item, CALLS)));
        }
        Some(("two", item)) => {
            let item = make(item).expect("an item of that name");
            fire(item, 1000);
            say(by_two(|| fire(item, CALLS / 4), CALLS / 4));
        }
        Some(("fire-only", item)) => {
            let (item, calls) = item.split_once(':').expect("an item and a number");
            fire(make(item).expect("an item of that name"), calls.parse().expect("a number"));
        }
        Some(("pair", "box")) => say(fastest(PAIRS, || {
            for _ in 0..PAIRS {
                drop(std::hint::black_box(Box::new(Load::new())));
            }
        })),
        Some(("pair", "now")) => {
            let _crowd = crowd();
            say(fastest(PAIRS, pairs_now));
        }
        Some(("pair", "deferred")) => {
            let _crowd = crowd();
            say(fastest(PAIRS, pairs_deferred));
        }
        Some(("pair", "two-now")) => {
            let _crowd = crowd();
            say(by_two(pairs_now, PAIRS));
        }
        Some(("pair", "two-deferred")) => {
            let _crowd = crowd();
            say(by_two(pairs_deferred, PAIRS));
        }
        Some(("fire", "pair-deferred")) => say(under_fire(|| fastest(PAIRS, pairs_deferred))),
        Some(("fire", "revoke")) => under_fire(|| {
            let mut some: Vec<_> = (0..2_000).map(|_| register()).collect();
            println!("fire/membarrier {}", each(1_000, membarrier));
            println!(
                "fire/prompt {}",
                each(1_000, || {
                    let _ = some.pop().expect("one more").revoke();
                })
            );
            println!("fire/deferred {}", each(1_000, || some.pop().expect("one more").revoke_deferred()));
        }),
        Some(("memory", _)) => {
            const MANY: usize = 1_000_000;
            let handles: Vec<_> = Vec::with_capacity(MANY);
            let mut handles = handles;
            let _ = make("generic");
            let before = resident();
            COUNT.store(true, Relaxed);
            for _ in 0..MANY {
                handles.push(register().leak());
            }
            COUNT.store(false, Relaxed);
            let touched = handles.capacity() * size_of_val(&handles[0]);
            println!("memory/allocated {}", BYTES.load(Relaxed) as f64 / MANY as f64);
            println!("memory/resident {}", (resident() - before - touched as f64) / MANY as f64);
        }
        _ => panic!("no measurement is called {name}"),
    }
}

/// 10^7 registrations, each called, revoked by one of the verbs in turn, and called again, too late. Memory in use at
/// the end is what it was after the first hundredth, to the byte.
pub(crate) fn churn() -> std::process::ExitCode {
    const TIMES: u64 = 10_000_000;
    COUNT.store(true, Relaxed);
    let registry: latecall::registry::Registry<dyn Fn() -> u64 + Send + Sync> = latecall::registry::Registry::new();
    let mut settled = 0;
    for n in 0..TIMES {
        let registration = registry.register(Box::new(move || n));
        let user_data = registration.handle().as_ptr();
        assert_eq!(registry.call(user_data, |f| f()).ok(), Some(n));
        match n % 3 {
            0 => drop(registration),
            1 => assert_eq!(registration.revoke(), latecall::registry::Revoked::Removed),
            _ => registration.revoke_deferred(),
        }
        assert!(registry.call(user_data, |f| f()).is_err());
        if n == TIMES / 100 {
            registry.reclaim();
            settled = BYTES.load(Relaxed);
        }
    }
    registry.reclaim();
    let (bytes, stats) = (BYTES.load(Relaxed), registry.stats());
    println!("{TIMES} registrations: {settled} bytes in use after a hundredth of them, {bytes} at the end; {stats:?}");
    let flat = bytes <= settled && stats.closures_dropped == TIMES && stats.late.total() == TIMES;
    std::process::ExitCode::from(u8::from(!flat))
}
