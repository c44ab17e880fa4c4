//! A global allocator that keeps what a subject frees while a program runs.
//!
//! A binding with a lifetime bug calls a closure whose memory it has freed. Freed memory is usually reused at once, and
//! the call goes anywhere. Here the memory a run's threads free is set aside until the run is over: the bytes stay what
//! they were, so a dangling [`Witness`](super::Witness) still names itself, on stable Rust and without a sanitizer. That
//! such a call is undefined behaviour all the same is the point of the verdict.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: latecall_explore::Quarantine = latecall_explore::Quarantine::new();
//! # fn main() {}
//! ```
//!
//! Under AddressSanitizer it steps aside: there the sanitizer has its own quarantine, and convicts by itself.
//!
//! Limits: what threads free that neither belong to the run nor were started by the C library is not set aside; nor is
//! anything beyond 65,536 blocks of one run ([`Quarantine::overflowed`] counts those).

use crate::std_types::Mutex;
use crate::std_types::{AtomicBool, AtomicU64, AtomicUsize, OnceLock, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Most blocks that one run sets aside.
const MAX_BLOCKS: usize = 1 << 16;

/// The allocator: the system's, with quarantine for threads that work for a run.
#[derive(Debug, Default)]
pub struct Quarantine(());

static INSTALLED: AtomicBool = AtomicBool::new(false);
static OVERFLOWED: AtomicUsize = AtomicUsize::new(0);
static SPARE: Mutex<Vec<&'static Buffer>> = Mutex::new(Vec::new());

thread_local! {
    /// Where this thread's frees go. Constant and without destructor: the allocator may be asked from anywhere.
    static CURRENT: Cell<Option<&'static Buffer>> = const { Cell::new(None) };
}

/// A place for the blocks of one run: (address, size and alignment).
#[derive(Debug)]
struct Buffer {
    next: AtomicUsize,
    blocks: Box<[[AtomicU64; 2]]>,
}

/// A run's buffer, emptied when the run is over.
#[derive(Debug)]
pub struct RunBlocks(&'static Buffer);

impl Quarantine {
    /// The allocator.
    pub const fn new() -> Self {
        Quarantine(())
    }

    /// Whether this process allocates through it.
    pub fn installed() -> bool {
        drop(std::hint::black_box(Box::new(0_u8)));
        INSTALLED.load(Ordering::Relaxed) // this thread's own store, if any, is the line above
    }

    /// How many blocks could not be set aside, in this process so far.
    pub fn overflowed() -> usize {
        OVERFLOWED.load(Ordering::Relaxed) // a statistic: orders nothing
    }

    /// Whether AddressSanitizer is in the process, and the quarantine therefore is not.
    pub fn stands_aside() -> bool {
        if cfg!(latecall_asan) {
            return true; // the runtime is linked in, where its names need not be visible
        }
        static ASAN: OnceLock<bool> = OnceLock::new();
        *ASAN.get_or_init(|| {
            // SAFETY: looks a name up in the objects of this process; both arguments are valid.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__asan_init".as_ptr()) };
            !found.is_null()
        })
    }
}

impl RunBlocks {
    /// A buffer for a run; `None` where the quarantine is not in force.
    pub fn open() -> Option<RunBlocks> {
        if !Quarantine::installed() || Quarantine::stands_aside() {
            return None;
        }
        let spare = SPARE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        Some(RunBlocks(spare.unwrap_or_else(|| {
            let empty = std::iter::repeat_with(|| [AtomicU64::new(0), AtomicU64::new(0)]).take(MAX_BLOCKS).collect();
            Box::leak(Box::new(Buffer { next: AtomicUsize::new(0), blocks: empty }))
        })))
    }

    /// What this thread frees from now on is set aside.
    pub fn enter(&self) {
        CURRENT.set(Some(self.0));
    }

    /// What this thread frees from now on is freed.
    pub fn leave() {
        CURRENT.set(None);
    }

    /// Runs `f`, whose frees are not the run's: the harness's own, on a thread that works for a run.
    pub fn suspended<R>(f: impl FnOnce() -> R) -> R {
        struct Back(Option<&'static Buffer>);
        impl Drop for Back {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _back = Back(CURRENT.take());
        f()
    }

    /// Frees what was set aside. Answers how many blocks had been freed more than once.
    pub fn close(self) -> usize {
        let buffer = self.0;
        let used = buffer.next.load(Ordering::Relaxed).min(MAX_BLOCKS); // the run's threads were joined
        let mut blocks: Vec<(u64, u64)> = buffer.blocks[..used]
            .iter()
            .map(|b| (b[0].load(Ordering::Relaxed), b[1].load(Ordering::Relaxed))) // as above
            .collect();
        blocks.sort_unstable();
        let before = blocks.len();
        blocks.dedup_by_key(|b| b.0);
        let twice = before - blocks.len();
        for (address, shape) in blocks {
            let layout = Layout::from_size_align((shape >> 8) as usize, 1 << (shape & 0xff));
            if let Ok(layout) = layout {
                // SAFETY: 1. the block came from `System` with this layout and was given to `dealloc` below, which did
                // not free it; 2. once, because duplicates were removed; 3. its users are gone with the run.
                unsafe { System.dealloc(address as *mut u8, layout) };
            }
        }
        buffer.next.store(0, Ordering::Relaxed); // nobody else has the buffer now
        SPARE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(buffer);
        twice
    }
}

impl Buffer {
    /// Sets a block aside; `false` when there is no room.
    fn keep(&self, block: *mut u8, layout: Layout) -> bool {
        let at = self.next.fetch_add(1, Ordering::Relaxed); // only distinct places are wanted
        match self.blocks.get(at) {
            Some(place) => {
                let shape = (layout.size() as u64) << 8 | u64::from(layout.align().trailing_zeros());
                place[0].store(block as u64, Ordering::Relaxed); // read after the thread was joined
                place[1].store(shape, Ordering::Relaxed); // as above
                true
            }
            None => {
                OVERFLOWED.fetch_add(1, Ordering::Relaxed); // a statistic: orders nothing
                false
            }
        }
    }
}

// SAFETY: every request is passed to `System`, whose contract this is; a block that is kept back in `dealloc` is given to
// `System` later, once, with the layout it came with.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !INSTALLED.load(Ordering::Relaxed) {
            INSTALLED.store(true, Ordering::Relaxed); // a mark that only ever becomes true: orders nothing
        }
        // SAFETY: the caller's contract is the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the callee's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if CURRENT.get().is_some_and(|buffer| buffer.keep(block, layout)) {
            return;
        }
        // SAFETY: the caller's contract is the callee's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if CURRENT.get().is_none() {
            // SAFETY: the caller's contract is the callee's.
            return unsafe { System.realloc(block, layout, size) };
        }
        // Growing frees the old block: that has to be set aside too.
        // SAFETY: `size` is not 0 and fits with this alignment: the caller's contract for `realloc`.
        let grown = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as above.
        let new = unsafe { System.alloc(grown) };
        if !new.is_null() {
            // SAFETY: both blocks have the smaller of the two sizes, and `new` is fresh.
            unsafe { std::ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
            // SAFETY: the caller gives the block up.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}
