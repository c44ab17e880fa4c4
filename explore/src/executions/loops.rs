//! Loops that wait: found by the state of the thread.
//!
//! A loop that only reads, and comes back to the same read in the same state, would read the same for ever. So its last
//! read is a wait for another value: it is *blocked*, and the thread goes on only in executions in which the read reads
//! something else. Of the tries that fail, the search keeps those whose last read saw the newest write of its location;
//! the other reads of a try are ordinary ones. The argument is that of an await (Kokologiannakis, Ren, Vafeiadis:
//! Dynamic Partial Order Reductions for Spinloops, FMCAD 2021): a failed try has no effect, so an execution with it is
//! an execution without it.
//!
//! The state is the thread's stack, with the registers, from the caller of this crate's types on. What a loop writes
//! elsewhere, a counter in a `Box` for example, is not part of it. So a loop that is found is tried first: it is given
//! the same values again, [`ROUNDS`] times. If it leaves, or comes into another state, it does not wait.
//!
//! What is known about the program's loops decides whose turn it is, and so it must not change within a search: when
//! something is learnt, the search begins again.

use super::fiber::{Fiber, Request};
use super::graph::{Action, EventId};
use super::runner::{End, Runner, with};
use corosensei::Yielder;
use corosensei::stack::{DefaultStack, Stack};
use std::collections::HashMap;
use std::panic::Location;

/// How often a loop has to come back before it counts as one that waits.
const ROUNDS: usize = 10_000;

/// What is known about the loops of a program. Kept over the runs of a search.
#[derive(Debug, Default)]
pub(crate) struct Loops {
    known: HashMap<Point, Knowledge>,
}

/// Of a thread. Equal states have equal numbers; that two others have is as good as impossible.
type State = (u64, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// A thread was here twice and has only read meanwhile. Its state is looked at here.
    Repeats,
    /// A loop whose last read is here waits.
    Waits,
    /// A loop whose last read is here has a state that is not on the stack.
    Leaves,
}

/// Where a thread is: the place in the source, and the bytes of stack in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Point {
    place: &'static Location<'static>,
    depth: usize,
}

/// A read since the thread's last effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    point: Point,
    /// Of the thread before it read, if its state was looked at.
    state: Option<State>,
    /// The position of the read in its thread.
    event: u32,
}

/// Suspends the running thread with a request. Leaves the registers that belong to the caller on the stack, so that the
/// stack from there on is the whole state of the thread.
///
/// # Safety
///
/// 1. `yielder` is that of the running thread.
/// 2. `request` points to a request. It is moved out, and its bytes are zeroed.
#[unsafe(naked)]
pub(super) unsafe extern "C-unwind" fn suspend(request: *mut Request, yielder: *const Yielder<u64, Request>) -> u64 {
    std::arch::naked_asm!(
        ".cfi_startproc",
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push 0", // Aligns the stack.
        ".cfi_adjust_cfa_offset 56",
        "mov rdx, rsp",
        "call {suspend_at}",
        "add rsp, 56", // The registers are what they were: the called function restores them.
        ".cfi_adjust_cfa_offset -56",
        "ret",
        ".cfi_endproc",
        suspend_at = sym suspend_at,
    )
}

/// # Safety
///
/// As [`suspend`].
unsafe extern "C-unwind" fn suspend_at(
    request: *mut Request,
    yielder: *const Yielder<u64, Request>,
    top: *const u64,
) -> u64 {
    with(|runner| runner.running().top = top as usize);
    // SAFETY: clause 2: valid to read, and to write as bytes. The caller does not use it as a request again.
    let taken = unsafe { request.read() };
    // SAFETY: as before. The bytes would be part of the state.
    unsafe { request.write_bytes(0, 1) };
    // SAFETY: clause 1. The yielder lives as long as its thread.
    unsafe { &*yielder }.suspend(taken)
}

impl Loops {
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl Fiber {
    /// Where the thread is, which has an open request.
    fn point(&self) -> Option<Point> {
        Some(Point { place: self.place?, depth: self.base - self.top })
    }

    /// Whether what the thread asks for may turn out to be a read and nothing else.
    fn may_only_read(&self) -> bool {
        matches!(self.request, Request::Read { action: Action::Load | Action::Compare { .. }, .. })
    }

    /// The state of the thread, which has an open request.
    fn state(&self) -> State {
        let mut state = (0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f_u64);
        let top = self.top as *const u64;
        for word in 0..(self.base - self.top) / size_of::<u64>() {
            // SAFETY: the word stays between the thread's stack pointer and the beginning of its stack.
            let word = unsafe { top.add(word) };
            // SAFETY: the stack is mapped there, and both ends are aligned for words. The thread does not run, so
            // nothing writes there meanwhile. Volatile, because the compiler must not conclude anything from bytes that
            // were never written.
            let word = unsafe { word.read_volatile() };
            state.0 = (state.0 ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31);
            state.1 = (state.1.rotate_left(27) ^ word).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        }
        state
    }

    /// Notes that the thread has executed its request, as the event `event` of the thread, and has only read.
    pub(super) fn has_read(&mut self, event: u32) {
        if let Some(point) = self.point() {
            let state = self.looked.take();
            self.seen.push(Seen { point, state, event });
        }
    }

    /// Notes that the thread has done something that another thread, or itself, could see later.
    pub(super) fn has_effect(&mut self) {
        self.seen.clear();
    }
}

impl Runner {
    /// Looks at the state of a thread that has just made a request, if a loop may have come around there.
    pub(super) fn look(&mut self, thread: u32) {
        let fiber = &mut self.fibers[thread as usize];
        fiber.looked = None;
        if self.loops.is_empty() || !fiber.may_only_read() {
            return;
        }
        if fiber.point().is_some_and(|point| self.loops.known.contains_key(&point)) {
            fiber.looked = Some(fiber.state());
        }
    }

    /// Whether the thread is about to read where loops wait.
    pub(super) fn may_wait(&self, thread: u32) -> bool {
        let fiber = &self.fibers[thread as usize];
        fiber.looked.is_some()
            && fiber.point().is_some_and(|point| self.loops.known.get(&point) == Some(&Knowledge::Waits))
    }

    /// Whether the thread, whose request is not in the graph, has come around a loop that waits. If so the loop's last
    /// read is blocked. Returns how the run ends, if it does.
    pub(super) fn find_loop(&mut self, thread: u32) -> Option<End> {
        let fiber = &self.fibers[thread as usize];
        let last = fiber.seen.last().filter(|_| fiber.may_only_read())?.point;
        let point = fiber.point()?;
        let Some(state) = fiber.looked else {
            // A place that is not known yet. The state that it had at the first time was not looked at.
            fiber.seen.iter().find(|it| it.point == point)?;
            self.loops.known.insert(point, Knowledge::Repeats);
            return Some(End::Learnt);
        };
        let first = fiber.seen.iter().rposition(|it| it.point == point && it.state == Some(state))?;
        match self.loops.known.get(&last) {
            Some(Knowledge::Leaves) => None,
            Some(Knowledge::Waits) => self.block(thread, first),
            Some(Knowledge::Repeats) | None => {
                let stays = self.stays(thread, first);
                self.loops.known.insert(last, if stays { Knowledge::Waits } else { Knowledge::Leaves });
                Some(End::Learnt)
            }
        }
    }

    /// Lets the thread wait at its last read. The try began with the read `first` of those that it has seen.
    fn block(&mut self, thread: u32, first: usize) -> Option<End> {
        let fiber = &mut self.fibers[thread as usize];
        let since = fiber.seen[first].event;
        fiber.request = Request::None;
        let last = EventId::new(thread, fiber.executed - 1);
        if self.search.graph().block(last, since) { None } else { Some(End::Blocked) }
    }

    /// Whether the loop that the thread has come around comes around again and again when it reads the same. The run
    /// cannot go on after this.
    fn stays(&mut self, thread: u32, first: usize) -> bool {
        let round = self.fibers[thread as usize].seen[first..].to_vec();
        for step in 0..ROUNDS {
            let now = round[step % round.len()];
            let next = round[(step + 1) % round.len()];
            let value = self.search.graph().event(EventId::new(thread, now.event)).value;
            self.resume(thread, value);
            let fiber = &self.fibers[thread as usize];
            let there = fiber.may_only_read() && fiber.point() == Some(next.point);
            if !there || (next.state.is_some() && fiber.looked != next.state) || self.failure.is_some() {
                return false;
            }
        }
        true
    }
}

/// Fills the used part of a stack with zeros, so that what earlier runs have left there is no part of a state.
///
/// A stack is used from its base on. What lies behind [`GAP`] bytes of zeros counts as not used.
pub(super) fn clear(stack: &mut DefaultStack) {
    const GAP: usize = 16 << 10;
    const GUARD: usize = 4 << 10;
    /// Looked at together: this runs for each thread of each run.
    const WORDS: usize = 16;
    let end = stack.limit().get() + GUARD;
    let mut block = stack.base().get();
    let mut zeros = 0;
    while block >= end + size_of::<[u64; WORDS]>() && zeros < GAP {
        block -= size_of::<[u64; WORDS]>();
        let at = block as *mut u64;
        let mut used = 0;
        for word in 0..WORDS {
            // SAFETY: the block is inside of the stack and not in its guard page, so it is mapped and aligned.
            let at = unsafe { at.add(word) };
            // SAFETY: the word is mapped and aligned, and no coroutine uses the stack. Volatile, because the bytes may
            // never have been written.
            used |= unsafe { at.read_volatile() };
        }
        zeros += size_of::<[u64; WORDS]>();
        if used != 0 {
            zeros = 0;
            // SAFETY: the whole block is inside of the stack, which no coroutine uses.
            unsafe { at.write_bytes(0, WORDS) };
        }
    }
}
