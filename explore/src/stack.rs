//! Stacks: the ones that C runs on, and the names of what is on them.
//!
//! Loom gives its threads 32 KiB, and its first thread cannot have more. C code gets stacks of ours instead: larger, at the
//! same addresses in every interleaving, and with bounds that tell whose stack an address is on. Each event of entering a
//! C function checks how much is left, so an overflow is reported as what it is before it happens.

use super::finding::Bound;
use super::world::{Leave, Me, Pc, event, leave, with};
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Left for the entry points themselves, and for library functions that C calls.
const RESERVE: usize = 24 << 10;

/// Memory for the stacks of one search; every interleaving uses the same.
pub(crate) struct Stacks {
    each: usize,
    memory: Vec<Stack>,
    /// Which thread is on which.
    owners: Vec<Me>,
}

/// Below `floor` nobody may be. There is memory all the same, so that a function that goes there at one step (by a large array)
/// gets as far as to the next event, which tells.
struct Stack {
    low: usize,
    floor: usize,
    high: usize,
}

impl Stacks {
    pub(crate) fn new(each: usize) -> Self {
        Self { each, memory: Vec::new(), owners: Vec::new() }
    }

    /// Nobody is on them any more.
    pub(crate) fn clear(&mut self) {
        self.owners.clear();
    }

    /// Gives the thread a stack, and answers its upper end.
    fn assign(&mut self, me: Me) -> usize {
        if self.owners.len() == self.memory.len() {
            self.memory.push(Stack::new(self.each));
        }
        self.owners.push(me);
        self.memory[self.owners.len() - 1].high
    }

    fn stack(&self, address: usize) -> Option<(Me, &Stack)> {
        let mut all = self.owners.iter().zip(&self.memory);
        all.find(|(_, stack)| (stack.low..stack.high).contains(&address)).map(|(&me, stack)| (me, stack))
    }

    /// Whose stack an address is on, and whether that is below its floor.
    pub(crate) fn stands(&self, sp: usize) -> Option<(Me, bool)> {
        self.stack(sp).map(|(me, stack)| (me, sp < stack.floor))
    }

    /// The bytes of each.
    pub(crate) fn each(&self) -> usize {
        self.each
    }

    /// Whose stack an address is on.
    pub(crate) fn owner(&self, address: usize) -> Option<Me> {
        self.stack(address).map(|(me, _)| me)
    }

    /// How deep below the upper end.
    pub(crate) fn depth(&self, address: usize) -> Option<(Me, usize)> {
        self.stack(address).map(|(me, stack)| (me, stack.high - address))
    }

    fn exhausted(&self, sp: usize) -> bool {
        self.stack(sp).is_some_and(|(_, stack)| sp < stack.floor + RESERVE)
    }
}

impl Stack {
    fn new(size: usize) -> Self {
        let whole = size + BELOW + GUARD;
        // SAFETY: asks for fresh memory, which is nobody's.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                whole,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert!(memory != libc::MAP_FAILED, "no memory for a stack of size {size}");
        // SAFETY: the first page of what was just mapped, which nobody uses.
        let guarded = unsafe { libc::mprotect(memory, GUARD, libc::PROT_NONE) };
        assert_eq!(guarded, 0, "no guard page for a stack");
        let low = memory.addr() + GUARD;
        Self { low, floor: low + BELOW, high: low + BELOW + size }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let memory = std::ptr::with_exposed_provenance_mut(self.low - GUARD);
        // SAFETY: mapped by `new` with this size; the search is over, so nobody is on it.
        unsafe { libc::munmap(memory, self.high - self.low + GUARD) };
    }
}

const GUARD: usize = 4096;

/// Below each floor; addresses, and no memory before somebody goes there.
const BELOW: usize = 64 << 20;

struct Job<'a> {
    run: Option<Box<dyn FnOnce() + 'a>>,
    failed: Option<Box<dyn Any + Send>>,
}

/// Runs `f` on a stack of ours; a panic comes out as if there had been no change of stacks.
pub(crate) fn on_stack(me: Me, f: impl FnOnce()) {
    let top = with(|world| world.stacks.assign(me));
    let mut job = Job { run: Some(Box::new(f)), failed: None };
    // SAFETY: the stack is this thread's for the rest of the interleaving, and `job` outlives the call.
    unsafe { switch((&raw mut job).cast(), perform, top & !15) };
    if let Some(payload) = job.failed {
        resume_unwind(payload);
    }
}

extern "C" fn perform(job: *mut u8) {
    // SAFETY: `on_stack` passes its own `job`, and touches it only after this returned.
    let job = unsafe { &mut *job.cast::<Job<'_>>() };
    let run = job.run.take().expect("performed once");
    job.failed = catch_unwind(AssertUnwindSafe(run)).err();
}

/// Calls `f(data)` with the stack pointer at `top`.
///
/// # Safety
///
/// `top` is the aligned upper end of an unused stack; `f` does not unwind.
#[unsafe(naked)]
unsafe extern "C" fn switch(data: *mut u8, f: extern "C" fn(*mut u8), top: usize) {
    std::arch::naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

/// A C function was entered from `pc`.
pub(crate) fn push(pc: Pc) {
    let here = 0_u8;
    event(|world, me| {
        if world.stacks.exhausted((&raw const here).addr()) {
            let each = world.stacks.each;
            leave(world, Leave::Limited(Bound::Stack(each)));
        }
        world.thread(me).calls.push(pc);
    });
}

/// A C function was left.
pub(crate) fn pop() {
    event(|world, me| world.thread(me).calls.pop());
}

/// A place in code, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) function: String,
    pub(crate) line: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.function, self.line)
    }
}

/// Names of addresses; slow to find, so found once, and only for what is reported.
#[derive(Default)]
pub(crate) struct Names(HashMap<Pc, Vec<Place>>);

impl Names {
    /// Where the instruction before the return address `pc` is: the function, and those it was inlined into.
    pub(crate) fn frames(&mut self, pc: Pc) -> &[Place] {
        self.0.entry(pc).or_insert_with(|| {
            let mut places = Vec::new();
            backtrace::resolve(std::ptr::without_provenance_mut(pc.wrapping_sub(1)), |symbol| {
                let function = symbol.name().map_or_else(|| "?".to_owned(), |name| format!("{name:#}"));
                let line = match (symbol.filename(), symbol.lineno()) {
                    (Some(file), Some(line)) => format!("{}:{line}", tail(file)),
                    (Some(file), None) => tail(file),
                    _ => "?".to_owned(),
                };
                places.push(Place { function, line });
            });
            if places.is_empty() {
                places.push(Place { function: "?".to_owned(), line: "?".to_owned() });
            }
            places
        })
    }

    pub(crate) fn place(&mut self, pc: Pc) -> Place {
        self.frames(pc)[0].clone()
    }
}

/// The last two parts of a path: enough to find it, and the same on every machine.
fn tail(path: &std::path::Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}
