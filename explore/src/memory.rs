//! The memory of C code: `malloc` and its family, and the library functions that move memory about (`strings` has those that
//! look for an end).
//!
//! Blocks come from one arena that every interleaving fills from its beginning, so addresses are the same whenever the
//! order of allocations is. Nothing is used twice: a freed block stays freed for the rest of the interleaving. Between
//! blocks lie red zones. At the end a block that is still there, and that neither the C code's globals nor another such
//! block refers to, has leaked.

use super::entry::entry_points;
use super::event::What;
use super::finding::{Bound, FindingKind, count, later, later_variable};
use super::locals::thread_local;
use super::race::{Access, Epoch};
use super::world::{Leave, Me, Pc, World, enter, event, leave, with};
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

const ALIGN: usize = 16;
const RED_ZONE: usize = 32;
/// Nothing lies below this address: it is a null pointer, or a member of what that points to.
const LOWEST: usize = 4096;
/// The most bytes that one instruction accesses.
const WIDEST: usize = 16;
/// What fresh memory holds: not zeros, and no address.
const FRESH: u8 = 0xA5;

#[derive(Clone, Copy)]
struct Block {
    number: usize,
    start: usize,
    size: usize,
    made: (Me, Pc, Pc),
    /// When.
    since: Epoch,
    freed: Option<(Me, Pc, Pc)>,
}

/// A block that may be accessed, by its place in the heap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live(usize);

/// The arena, and what is in it.
pub(crate) struct Heap {
    memory: Box<[MaybeUninit<u64>]>,
    used: usize,
    /// By address, which is also the order in which they were made.
    blocks: Vec<Block>,
    /// Memory that a finding is about.
    watched: Option<(usize, usize)>,
}

impl Heap {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { memory: Box::new_uninit_slice(bytes.div_ceil(8)), used: 0, blocks: Vec::new(), watched: None }
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.blocks.clear();
        self.watched = None;
    }

    fn bounds(&self) -> (usize, usize) {
        let low = self.memory.as_ptr().expose_provenance();
        (low, low + self.memory.len() * 8)
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        let (low, high) = self.bounds();
        (low..high).contains(&address)
    }

    /// The block at or before an address.
    fn near(&self, address: usize) -> Option<&Block> {
        let beyond = self.blocks.partition_point(|block| block.start <= address);
        self.blocks[..beyond].last()
    }

    /// The block that all these bytes are in, if there is one and it has not been freed.
    fn live(&self, address: usize, size: usize) -> Option<Live> {
        let place = self.blocks.partition_point(|block| block.start <= address).checked_sub(1)?;
        let block = &self.blocks[place];
        (block.freed.is_none() && address + size <= block.start + block.size).then_some(Live(place))
    }

    /// The first block beyond an address.
    fn after(&self, address: usize) -> Option<&Block> {
        self.blocks.get(self.blocks.partition_point(|block| block.start <= address))
    }

    /// The block that begins at an address.
    fn at(&mut self, address: usize) -> Option<&mut Block> {
        let found = self.blocks.binary_search_by_key(&address, |block| block.start);
        found.ok().map(|number| &mut self.blocks[number])
    }

    /// Who allocated a block, when, and where: its function's caller, and it.
    pub(crate) fn maker(&self, block: Live) -> (Me, Epoch, [Pc; 2]) {
        let block = &self.blocks[block.0];
        let (me, pc, caller) = block.made;
        (me, block.since, [caller, pc])
    }

    fn allocate(&mut self, size: usize, align: usize, made: (Me, Pc, Pc), since: Epoch) -> Option<usize> {
        let (low, high) = self.bounds();
        let start = (low + self.used + RED_ZONE).next_multiple_of(align.max(ALIGN));
        let end = start.checked_add(size)?.checked_add(RED_ZONE)?;
        if end > high {
            return None;
        }
        self.used = end - low;
        let number = self.blocks.len() + 1;
        self.blocks.push(Block { number, start, size, made, since, freed: None });
        let memory = std::ptr::with_exposed_provenance_mut::<u8>(start);
        // SAFETY: inside the arena, beyond everything handed out before.
        unsafe { memory.write_bytes(FRESH, size) };
        Some(start)
    }

    /// Whether there is a block that has not been freed.
    pub(crate) fn is_used(&self) -> bool {
        self.blocks.iter().any(|block| block.freed.is_none())
    }

    /// Blocks that nothing refers to from these ranges, or from blocks that are referred to, with what made them.
    pub(crate) fn lost(&self, mut to_scan: Vec<(usize, usize)>) -> Option<String> {
        let mut found = std::collections::BTreeSet::new();
        while let Some((low, high)) = to_scan.pop() {
            let mut word = low.next_multiple_of(8);
            while word + 8 <= high {
                let pointer = std::ptr::with_exposed_provenance::<usize>(word);
                // SAFETY: the roots are the C code's globals and what `lost` in `search` holds, and everything else is a
                // block of the arena, which was filled when it was allocated.
                let value = unsafe { pointer.read() };
                if self.contains(value)
                    && let Some(block) = self.near(value)
                    && block.freed.is_none()
                    && value <= block.start + block.size
                    && found.insert(block.number)
                {
                    to_scan.push((block.start, block.start + block.size));
                }
                word += 8;
            }
        }
        let left = self.blocks.iter().filter(|block| block.freed.is_none());
        let lost: Vec<_> = left.filter(|block| !found.contains(&block.number)).collect();
        let first = lost.first()?;
        let (_, pc, caller) = first.made;
        let more = if lost.len() > 1 { format!("; and {} more", lost.len() - 1) } else { String::new() };
        Some(format!(
            "block {} of {} was never freed, and nothing refers to it; allocated by {} from {}{more}",
            first.number,
            bytes(first.size),
            later(pc),
            later(caller)
        ))
    }
}

impl World {
    /// What an address is, in words that do not depend on where things happen to be.
    pub(crate) fn name_address(&self, address: usize) -> String {
        if let Some(block) = self.heap.near(address).filter(|_| self.heap.contains(address)) {
            return format!("block {}+{}", block.number, address - block.start);
        }
        if super::globals::offset(address).is_some() {
            return format!("global data{}", later_variable(address));
        }
        if let Some((number, offset)) = super::locals::early(address) {
            return format!("thread-local variable {number} of main+{offset}");
        }
        match self.stacks.depth(address) {
            Some((me, depth)) => {
                let name = self.threads.get(me).and_then(Option::as_ref).map_or("?", |thread| &thread.name);
                format!("the stack of {name} (-{depth})")
            }
            None => "memory of Rust code".to_owned(),
        }
    }

    /// What a value is, where it is an address of C's memory.
    pub(crate) fn name_value(&self, value: usize) -> Option<String> {
        let known =
            self.heap.contains(value) || super::globals::offset(value).is_some() || self.stacks.owner(value).is_some();
        known.then(|| format!("&{}", self.name_address(value)))
    }

    /// A stack, innermost last, as one line.
    pub(crate) fn name_stack(&self, pcs: &[Pc]) -> String {
        let places: Vec<_> = pcs.iter().rev().filter(|&&pc| pc != 0).map(|&pc| later(pc)).collect();
        places.join(" from ")
    }

    /// The report shall show plain accesses to this memory.
    pub(crate) fn watch(&mut self, address: usize, size: usize) {
        self.heap.watched = Some((address, address + size));
    }

    pub(crate) fn watched(&self, address: usize, size: usize) -> bool {
        self.heap.watched.is_some_and(|(low, high)| address < high && low < address + size)
    }

    /// Whether memory may be accessed at all. If it is memory of the heap: the block.
    pub(crate) fn check_memory(&mut self, me: Me, pc: Pc, address: usize, size: usize, access: &str) -> Option<Live> {
        if address < LOWEST {
            self.convict(
                me,
                pc,
                FindingKind::OutOfBounds,
                format!("{access} of {} through a null pointer (+{address})", bytes(size)),
            );
        }
        // The largest object that there can be; the sums below cannot overflow.
        if size > isize::MAX as usize {
            let name = self.name_address(address);
            self.convict(
                me,
                pc,
                FindingKind::OutOfBounds,
                format!("{access} of {} at {name}, more than any memory has", bytes(size)),
            );
        }
        if !self.heap.contains(address) {
            if size > WIDEST {
                self.check_end(me, pc, address, size, access);
            }
            return None;
        }
        let live = self.heap.live(address, size);
        if live.is_some() {
            return live;
        }
        let near = self.heap.near(address).copied();
        let before = near.map_or(usize::MAX, |block| address.saturating_sub(block.start + block.size));
        if let Some(&Block { number, start, size: length, made, .. }) = self.heap.after(address)
            && start - address < before
        {
            let made = self.name_maker(made);
            let message = format!(
                "{access} of {} at offset -{} of block {number}, which has {} (allocated by {made})",
                bytes(size),
                start - address,
                bytes(length)
            );
            self.convict(me, pc, FindingKind::OutOfBounds, message);
        }
        let Some(Block { number, start, size: length, made, freed, .. }) = near else {
            self.convict(
                me,
                pc,
                FindingKind::OutOfBounds,
                format!("{access} of {} before the first block", bytes(size)),
            );
        };
        let made = format!("allocated by {}", self.name_maker(made));
        if address + size > start + length {
            let message = format!(
                "{access} of {} at offset {} of block {number}, which has {} ({made})",
                bytes(size),
                address - start,
                bytes(length)
            );
            self.convict(me, pc, FindingKind::OutOfBounds, message);
        }
        if let Some((who, freed_pc, freed_from)) = freed {
            self.watch(address, size);
            let who = self.thread(who).name.clone();
            let message = format!(
                "{access} of {} at offset {} of block {number}, which {who} freed at {} from {} ({made})",
                bytes(size),
                address - start,
                later(freed_pc),
                later(freed_from),
            );
            self.convict(me, pc, FindingKind::UseAfterFree, message);
        }
        None
    }

    /// Many bytes of a global or of a stack, which they must not go beyond: nobody would come back from looking at each.
    fn check_end(&mut self, me: Me, pc: Pc, address: usize, size: usize, access: &str) {
        let globals = super::globals::offset(address).map(|_| super::globals::bounds().1);
        let Some(end) = globals.or_else(|| self.stacks.depth(address).map(|(_, depth)| address + depth)) else {
            return;
        };
        if address + size > end {
            let name = self.name_address(address);
            let message = format!(
                "{access} of {} at {name}, which is {} from the end of this memory",
                bytes(size),
                bytes(end - address)
            );
            self.convict(me, pc, FindingKind::OutOfBounds, message);
        }
    }

    fn name_maker(&mut self, (me, pc, from): (Me, Pc, Pc)) -> String {
        format!("{} at {} from {}", self.thread(me).name, later(pc), later(from))
    }

    fn here(&mut self, me: Me, pc: Pc) -> (Me, Pc, Pc) {
        (me, pc, self.thread(me).calls.last().copied().unwrap_or_default())
    }

    pub(super) fn allocate(&mut self, me: Me, pc: Pc, size: usize, align: usize) -> usize {
        let made = self.here(me, pc);
        let since = self.access_moment(me);
        let Some(start) = self.heap.allocate(size, align, made, since) else {
            let bytes = self.heap.memory.len() * 8;
            leave(self, Leave::Limited(Bound::Memory(bytes)));
        };
        self.thread(me).spins.kept += 1;
        self.log(me, pc, What::Allocated(start, size));
        start
    }

    pub(super) fn free(&mut self, me: Me, pc: Pc, address: usize) {
        let Some(&mut Block { number, size, freed, .. }) = self.heap.at(address) else {
            let name = self.name_address(address);
            self.convict(
                me,
                pc,
                FindingKind::ForeignFree,
                format!("free of {name}, which is not the start of a block from malloc"),
            );
        };
        if let Some((who, first_pc, first_from)) = freed {
            let who = self.thread(who).name.clone();
            let first = format!("{} from {}", later(first_pc), later(first_from));
            self.convict(
                me,
                pc,
                FindingKind::DoubleFree,
                format!("block {number} is freed again; {who} freed it at {first}"),
            );
        }
        self.thread(me).spins.kept -= 1;
        self.log(me, pc, What::Freed(number));
        // Whoever still uses the block without being ordered before this uses it after its end.
        let now = self.access_moment(me);
        self.touch(me, pc, address, size, Access::Write, now);
        self.forget(address, size);
        self.atoms.forget(address, size);
        self.objects.forget(address, size);
        let freed = self.here(me, pc);
        if let Some(block) = self.heap.at(address) {
            block.freed = Some(freed);
        }
    }

    fn size_of(&mut self, me: Me, pc: Pc, address: usize) -> usize {
        match self.heap.at(address).map(|block| (block.size, block.freed.is_none())) {
            Some((size, true)) => size,
            _ => {
                self.free(me, pc, address);
                0
            }
        }
    }
}

/// How many bytes from an address on can be looked at without leaving the block, the globals or the stack that it is in: none where
/// there is nothing to look at. What is neither has no end that the model knows.
pub(super) fn room(address: usize) -> usize {
    event(|world, _| {
        if address < LOWEST {
            return 0;
        }
        if world.heap.contains(address) {
            let block = world.heap.near(address).filter(|block| block.freed.is_none());
            return block.map_or(0, |block| (block.start + block.size).saturating_sub(address));
        }
        let globals = super::globals::offset(address).map(|_| super::globals::bounds().1 - address);
        globals.or_else(|| world.stacks.depth(address).map(|(_, depth)| depth)).unwrap_or(usize::MAX)
    })
    .unwrap_or(usize::MAX)
}

/// What is read goes on beyond the [`room`] that there is.
pub(super) fn read_beyond(address: usize, size: usize, pc: Pc) -> ! {
    with(|world| {
        let me = world.current();
        world.check_memory(me, pc, address, size, "read");
        world.check_end(me, pc, address, size, "read");
        unreachable!("the room at this address is smaller than {size}")
    })
}

pub(crate) fn pointer<T>(address: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address)
}

/// "1 byte", "2 bytes".
fn bytes(size: usize) -> String {
    count(size as u64, "byte")
}

/// Outside an interleaving, while C code only runs to its end.
fn plain_malloc(size: usize) -> usize {
    // SAFETY: malloc takes any size.
    unsafe { libc::malloc(size) }.expose_provenance()
}

pub(crate) extern "C-unwind" fn malloc(size: usize, pc: Pc) -> usize {
    match enter() {
        Some(me) => with(|world| world.allocate(me, pc, size, ALIGN)),
        None => plain_malloc(size),
    }
}

extern "C-unwind" fn calloc(count: usize, each: usize, pc: Pc) -> usize {
    let Some(size) = count.checked_mul(each) else { return 0 };
    let start = malloc(size, pc);
    if start != 0 {
        // SAFETY: the block was just allocated with this size.
        unsafe { pointer::<u8>(start).write_bytes(0, size) };
    }
    start
}

pub(super) extern "C-unwind" fn free(address: usize, pc: Pc) {
    if let (Some(me), true) = (enter(), address != 0) {
        with(|world| world.free(me, pc, address));
    }
    // Otherwise it stays: whose it is cannot be told here.
}

extern "C-unwind" fn realloc(old: usize, size: usize, pc: Pc) -> usize {
    if old == 0 {
        return malloc(size, pc);
    }
    let Some(me) = enter() else { return 0 };
    if size == 0 {
        // As glibc does.
        free(old, pc);
        return 0;
    }
    with(|world| {
        let held = world.size_of(me, pc, old);
        let new = world.allocate(me, pc, size, ALIGN);
        let kept = held.min(size);
        // SAFETY: both blocks are live and at least this large, and blocks do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(pointer::<u8>(old), pointer::<u8>(new), kept) };
        world.free(me, pc, old);
        new
    })
}

extern "C-unwind" fn aligned_alloc(align: usize, size: usize, pc: Pc) -> usize {
    match enter() {
        Some(me) => with(|world| world.allocate(me, pc, size, align)),
        None => plain_malloc(size),
    }
}

extern "C-unwind" fn posix_memalign(out: usize, align: usize, size: usize, pc: Pc) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
        return libc::EINVAL;
    }
    let start = aligned_alloc(align, size, pc);
    accessed(out, size_of::<usize>(), Access::Write, pc);
    // SAFETY: the caller passes a place for a pointer.
    unsafe { pointer::<usize>(out).write(start) };
    0
}

/// A library function accesses memory for C code.
pub(crate) fn accessed(address: usize, size: usize, access: Access, pc: Pc) {
    if size == 0 {
        return;
    }
    let open = event(|world, me| {
        let now = world.access_moment(me);
        world.touch(me, pc, address, size, access, now);
        if access.writes() {
            world.written(me, address, size);
            Vec::new()
        } else {
            world.atoms.open(address, size)
        }
    });
    super::tsan::found(open.unwrap_or_default(), pc);
}

pub(crate) extern "C-unwind" fn memcpy(to: usize, from: usize, size: usize, pc: Pc) -> usize {
    accessed(from, size, Access::Read, pc);
    accessed(to, size, Access::Write, pc);
    // SAFETY: C asks for it; what the model knows of the memory has just been checked. It may overlap where C is wrong.
    unsafe { std::ptr::copy(pointer::<u8>(from), pointer::<u8>(to), size) };
    to
}

pub(crate) extern "C-unwind" fn memset(to: usize, byte: c_int, size: usize, pc: Pc) -> usize {
    accessed(to, size, Access::Write, pc);
    // SAFETY: as in `memcpy`. C passes a byte as an int.
    unsafe { pointer::<u8>(to).write_bytes(byte as u8, size) };
    to
}

extern "C-unwind" fn memcmp(a: usize, b: usize, size: usize, pc: Pc) -> c_int {
    accessed(a, size, Access::Read, pc);
    accessed(b, size, Access::Read, pc);
    // SAFETY: as in `memcpy`.
    unsafe { libc::memcmp(pointer::<c_void>(a), pointer::<c_void>(b), size) }
}

extern "C-unwind" fn reallocarray(old: usize, count: usize, each: usize, pc: Pc) -> usize {
    count.checked_mul(each).map_or(0, |size| realloc(old, size, pc))
}

extern "C-unwind" fn malloc_usable_size(address: usize, pc: Pc) -> usize {
    match enter() {
        Some(me) if address != 0 => with(|world| {
            world.check_memory(me, pc, address, 0, "malloc_usable_size");
            world.size_of(me, pc, address)
        }),
        _ => 0,
    }
}

extern "C-unwind" fn valloc(size: usize, pc: Pc) -> usize {
    aligned_alloc(4096, size, pc)
}

extern "C-unwind" fn bzero(to: usize, size: usize, pc: Pc) {
    memset(to, 0, size, pc);
}

extern "C-unwind" fn free_sized(address: usize, _: usize, pc: Pc) {
    free(address, pc);
}

extern "C-unwind" fn new_nothrow(size: usize, _: usize, pc: Pc) -> usize {
    malloc(size, pc)
}

entry_points! {
    malloc(1) => malloc;
    calloc(2) => calloc;
    realloc(2) => realloc;
    free(1) => free;
    aligned_alloc(2) => aligned_alloc;
    memalign(2) => aligned_alloc;
    posix_memalign(3) => posix_memalign;
    memcpy(3) => memcpy;
    memmove(3) => memcpy;
    memset(3) => memset;
    memcmp(3) => memcmp;
    __tsan_memcpy(3) => memcpy;
    __tsan_memmove(3) => memcpy;
    __tsan_memset(3) => memset;
    malloc_usable_size(1) => malloc_usable_size;
    valloc(1) => valloc;
    reallocarray(3) => reallocarray;
    bzero(2) => bzero;
    _Znwm(1) => malloc;
    _Znam(1) => malloc;
    _ZnwmRKSt9nothrow_t(2) => new_nothrow;
    _ZnamRKSt9nothrow_t(2) => new_nothrow;
    _ZdlPv(1) => free;
    _ZdaPv(1) => free;
    _ZdlPvm(2) => free_sized;
    _ZdaPvm(2) => free_sized;
    __emutls_get_address(1) => thread_local;
}
