//! Stacks for the program's threads. They are kept from run to run, and from search to search: mapping one takes longer
//! than many searches.

use corosensei::stack::DefaultStack;
use std::cell::RefCell;

thread_local! {
    /// Those of the last search that is over on this thread of the machine.
    static KEPT: RefCell<Stacks> = const { RefCell::new(Stacks { size: 0, by_thread: Vec::new() }) };
}

pub(super) struct Stacks {
    /// Bytes of each.
    size: usize,
    /// A thread always has the same one in a search, so that addresses on it are the same in each run.
    by_thread: Vec<Option<DefaultStack>>,
}

impl Stacks {
    pub(super) fn new(size: usize) -> Self {
        let mut by_thread = KEPT.with_borrow_mut(|kept| std::mem::take(&mut kept.by_thread));
        if KEPT.with_borrow(|kept| kept.size != size) {
            by_thread.clear();
        }
        Self { size, by_thread }
    }

    /// The thread's stack, unless the thread is a new one.
    pub(super) fn take(&mut self, thread: usize) -> Option<DefaultStack> {
        self.by_thread.get_mut(thread)?.take()
    }

    pub(super) fn give(&mut self, thread: usize, stack: Option<DefaultStack>) {
        if self.by_thread.len() <= thread {
            self.by_thread.resize_with(thread + 1, || None);
        }
        self.by_thread[thread] = stack;
    }

    /// Keeps the stacks for the next search on this thread of the machine.
    pub(super) fn keep(&mut self) {
        let kept = Self { size: self.size, by_thread: std::mem::take(&mut self.by_thread) };
        KEPT.set(kept);
    }
}
