//! A global allocator that keeps freed memory until a test run is over, so that a use after free is reported and does not crash.
//!
//! A binding with a lifetime bug calls a closure whose memory it has freed. Usually that memory is reused at once, and the call
//! does anything. With this allocator, blocks that the threads of a run free keep their bytes until the run is over. The
//! closure of latecall's harness (`Witness`) still knows its name then, and reports the call, on stable Rust and without a
//! sanitizer. The call remains undefined behaviour, which is what the verdict says.
//!
//! A test of latecall's harness installs the allocator:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: latecall_explore::Quarantine = latecall_explore::Quarantine::new();
//! # fn main() {}
//! ```
//!
//! The harness marks its runs with [`RunBlocks`]. Outside a run, the allocator is the system's.
//!
//! Under AddressSanitizer the allocator does nothing: the sanitizer has a quarantine of its own, and reports the use itself.
//!
//! Limits: blocks are kept only if a thread frees them that called [`RunBlocks::enter`], and only the first 65,536 of a run.
//! [`Quarantine::overflowed`] counts the others.

use crate::std_types::Mutex;
use crate::std_types::{AtomicBool, AtomicU64, AtomicUsize, OnceLock, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The most blocks that one run keeps.
const MAX_BLOCKS: usize = 1 << 16;

/// The allocator: the system's, which keeps the blocks that threads of a run free. See the [module](self).
#[derive(Debug, Default)]
pub struct Quarantine(());

static INSTALLED: AtomicBool = AtomicBool::new(false);
static OVERFLOWED: AtomicUsize = AtomicUsize::new(0);
static SPARE: Mutex<Vec<&'static Buffer>> = Mutex::new(Vec::new());

thread_local! {
    /// The buffer that keeps what this thread frees. Constant and without a destructor, because threads free memory also while
    /// they start and end.
    static CURRENT: Cell<Option<&'static Buffer>> = const { Cell::new(None) };
}

/// Room for the blocks of one run: for each, its address, and its size and alignment.
#[derive(Debug)]
struct Buffer {
    next: AtomicUsize,
    blocks: Box<[[AtomicU64; 2]]>,
}

/// The freed blocks of one run. latecall's harness opens one for each run, lets each thread of the run [`enter`](Self::enter), and
/// [`close`](Self::close)s it after the run.
#[derive(Debug)]
pub struct RunBlocks(&'static Buffer);

impl Quarantine {
    /// The allocator, for a `#[global_allocator]` static.
    #[must_use]
    pub const fn new() -> Self {
        Quarantine(())
    }

    /// Whether this process uses the allocator.
    #[must_use]
    pub fn is_installed() -> bool {
        drop(std::hint::black_box(Box::new(0_u8)));
        INSTALLED.load(Ordering::Relaxed) // this thread's own store, if any, is the line above
    }

    /// The number of blocks, in this process so far, that could not be kept because a run had too many.
    #[must_use]
    pub fn overflowed() -> usize {
        OVERFLOWED.load(Ordering::Relaxed) // a statistic: orders nothing
    }

    /// Whether the allocator keeps nothing, because AddressSanitizer is in the process.
    #[must_use]
    pub fn asan_is_present() -> bool {
        if cfg!(latecall_asan) {
            return true; // the sanitizer's runtime may be linked in without visible names
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
    /// Begins a run. `None` if the allocator is not installed, or keeps nothing because of AddressSanitizer.
    #[must_use]
    pub fn open() -> Option<RunBlocks> {
        if !Quarantine::is_installed() || Quarantine::asan_is_present() {
            return None;
        }
        let spare = SPARE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        Some(RunBlocks(spare.unwrap_or_else(|| {
            let empty = std::iter::repeat_with(|| [AtomicU64::new(0), AtomicU64::new(0)]).take(MAX_BLOCKS).collect();
            Box::leak(Box::new(Buffer { next: AtomicUsize::new(0), blocks: empty }))
        })))
    }

    /// From now on, blocks that the calling thread frees are kept for this run.
    pub fn enter(&self) {
        CURRENT.set(Some(self.0));
    }

    /// From now on, blocks that the calling thread frees are freed at once.
    pub fn leave() {
        CURRENT.set(None);
    }

    /// Runs `f` without the quarantine: what `f` frees goes back to the allocator at once. For places where the harness
    /// frees its own blocks on a thread of a run.
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

    /// Ends the run and frees its blocks. Returns how many of them the run had freed more than once. All threads of the run must
    /// have ended, or have called [`Self::leave`].
    pub fn close(self) -> usize {
        let buffer = self.0;
        let used = buffer.next.load(Ordering::Relaxed).min(MAX_BLOCKS); // joining the threads orders their stores before
        let mut blocks: Vec<(u64, u64)> = buffer.blocks[..used]
            .iter()
            .map(|b| (b[0].load(Ordering::Relaxed), b[1].load(Ordering::Relaxed))) // the run's threads were joined
            .collect();
        blocks.sort_unstable();
        let before = blocks.len();
        blocks.dedup_by_key(|b| b.0);
        let twice = before - blocks.len();
        for (address, shape) in blocks {
            let layout = Layout::from_size_align((shape >> 8) as usize, 1 << (shape & 0xff));
            if let Ok(layout) = layout {
                // SAFETY: `dealloc` below received the block with this layout, and did not free it. It is freed once here,
                // because duplicates were removed. The run is over, so nothing uses it.
                unsafe { System.dealloc(address as *mut u8, layout) };
            }
        }
        buffer.next.store(0, Ordering::Relaxed); // the lock of SPARE, below, orders this before the next run
        SPARE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(buffer);
        twice
    }
}

impl Buffer {
    /// Keeps a block. Returns `false` if there is no room.
    fn keep(&self, block: *mut u8, layout: Layout) -> bool {
        let at = self.next.fetch_add(1, Ordering::Relaxed); // only makes the places distinct
        match self.blocks.get(at) {
            Some(place) => {
                let shape = (layout.size() as u64) << 8 | u64::from(layout.align().trailing_zeros());
                place[0].store(block as u64, Ordering::Relaxed); // `close` reads it, after this thread was joined
                place[1].store(shape, Ordering::Relaxed); // `close` reads it, after this thread was joined
                true
            }
            None => {
                OVERFLOWED.fetch_add(1, Ordering::Relaxed); // a statistic: orders nothing
                false
            }
        }
    }
}

// SAFETY: `System` meets the contract of `GlobalAlloc`, and receives every request unchanged. The exception is `dealloc` in a run:
// `RunBlocks::close` gives such a block to `System` later, once, with the layout that it was allocated with.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !INSTALLED.load(Ordering::Relaxed) {
            INSTALLED.store(true, Ordering::Relaxed); // a mark that only ever becomes true: orders nothing
        }
        // SAFETY: the caller guarantees to `GlobalAlloc` what `System`, another `GlobalAlloc`, demands.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller guarantees to `GlobalAlloc` what `System`, another `GlobalAlloc`, demands.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if CURRENT.get().is_some_and(|buffer| buffer.keep(block, layout)) {
            return;
        }
        // SAFETY: the caller guarantees to `GlobalAlloc` what `System`, another `GlobalAlloc`, demands.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if CURRENT.get().is_none() {
            // SAFETY: the caller guarantees to `GlobalAlloc` what `System`, another `GlobalAlloc`, demands.
            return unsafe { System.realloc(block, layout, size) };
        }
        // Reallocating frees the old block, which has to be kept too.
        // SAFETY: `size` is not 0 and fits with this alignment: the caller's contract for `realloc`.
        let grown = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the size is not 0, by the caller's contract for `realloc`.
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
