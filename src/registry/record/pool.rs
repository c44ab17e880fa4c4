//! The records of the process: taking one, giving it back, finding those that have an owner.
//!
//! Records are in blocks, each as large as all blocks before it together. A bit for each record says whether it has an
//! owner, and the free record with the lowest number is taken first. What a revoker looks at is so the records that
//! have an owner now, and one word for every 64 records that ever had one at a time.

use super::super::completions::try_box;
use super::super::thread;
use super::sync::{AtomicPtr, AtomicUsize, BLOCKS, FIXED_RECORDS, MODELLED, Ordering, array_of, global};
use super::{Record, fence, own};
use std::ptr;

/// How many records one word has the bits of.
const BITS: usize = usize::BITS as usize;

struct Pool {
    /// Needs no memory from an allocator: the first threads can call when there is none, and in a signal handler.
    fixed: [Record; FIXED_RECORDS],
    /// A bit for each fixed record: whether it has an owner.
    owned: [AtomicUsize; FIXED_RECORDS.div_ceil(BITS)],
    /// The other blocks, as far as they were needed. They are never freed.
    more: [AtomicPtr<Block>; BLOCKS],
    /// How many records are owned.
    owners: AtomicUsize,
}

/// Records from an allocator.
struct Block {
    records: Vec<Record>,
    /// A bit for each record: whether it has an owner.
    owned: Vec<AtomicUsize>,
}

global! {
    static POOL: Pool = Pool {
        fixed: array_of![Record::new(); FIXED_RECORDS],
        owned: array_of![AtomicUsize::new(0); FIXED_RECORDS.div_ceil(BITS)],
        more: array_of![AtomicPtr::new(ptr::null_mut()); BLOCKS],
        owners: AtomicUsize::new(0),
    };
}

impl Block {
    /// As many records as there are in the blocks before block `number`. `None`: there is no memory.
    fn new(number: usize) -> Option<Box<Self>> {
        let length = FIXED_RECORDS << number;
        let (mut records, mut owned) = (Vec::new(), Vec::new());
        records.try_reserve_exact(length).ok()?;
        owned.try_reserve_exact(length.div_ceil(BITS)).ok()?;
        records.extend((0..length).map(|_| Record::new()));
        owned.extend((0..length.div_ceil(BITS)).map(|_| AtomicUsize::new(0)));
        try_box(Self { records, owned })
    }
}

/// The records of a block, and the words with their bits.
#[derive(Clone, Copy)]
struct Records {
    records: &'static [Record],
    owned: &'static [AtomicUsize],
}

/// The blocks that exist.
fn blocks() -> impl Iterator<Item = Records> {
    let more = POOL.more.iter().map_while(|block| {
        // Acquire pairs with the Release of the exchange in `grow`: a block that is found is initialised.
        let block = block.load(Ordering::Acquire).cast_const();
        // SAFETY: null, or a block that `grow` has leaked and of which no mutable reference is made.
        let block = unsafe { block.as_ref() }?;
        Some(Records { records: &block.records, owned: &block.owned })
    });
    std::iter::once(Records { records: &POOL.fixed, owned: &POOL.owned }).chain(more)
}

impl Records {
    /// The records that have an owner. A record without one has no calls.
    fn that_are_owned(self) -> impl Iterator<Item = &'static Record> {
        self.owned.iter().zip(self.records.chunks(BITS)).flat_map(|(word, records)| {
            // Acquire pairs with the Release of `Record::give_back`: the calls that were in a record without an owner
            // are seen to have left.
            let mut bits = word.load(Ordering::Acquire);
            std::iter::from_fn(move || {
                let place = bits.trailing_zeros() as usize;
                bits &= bits.wrapping_sub(1);
                records.get(place)
            })
        })
    }

    /// The word and the bit of `record`, if it is one of these.
    fn bit_of(self, record: &Record) -> Option<(&'static AtomicUsize, usize)> {
        let bytes = ptr::from_ref(record).addr().checked_sub(self.records.as_ptr().addr())?;
        let place = bytes / size_of::<Record>();
        Some((self.owned.get(place / BITS)?, 1 << (place % BITS))).filter(|_| place < self.records.len())
    }

    /// Takes the first record that has no owner.
    fn take(self) -> Option<&'static Record> {
        for (word, records) in self.owned.iter().zip(self.records.chunks(BITS)) {
            // Relaxed: a guess, which the operation below checks.
            let mut bits = word.load(Ordering::Relaxed);
            while let Some(record) = records.get(bits.trailing_ones() as usize) {
                let mine = 1 << bits.trailing_ones();
                // Acquire pairs with the Release of `Record::give_back`, also where other threads have changed other
                // bits of the word since: a read-modify-write goes on with the release.
                bits = word.fetch_or(mine, Ordering::Acquire);
                if bits & mine == 0 {
                    return Some(record);
                }
            }
        }
        None
    }
}

/// Every record that has an owner.
pub(super) fn owned() -> impl Iterator<Item = &'static Record> {
    blocks().flat_map(Records::that_are_owned)
}

/// Every record that the thread with this number owns, its own one and those that it has borrowed.
pub(super) fn owned_by(number: u64) -> impl Iterator<Item = &'static Record> {
    // Relaxed: for the calling thread's number, which no other thread stores, and which `give_back` takes away before
    // the record can have another owner. For another thread's number, what orders the two threads orders this, too.
    owned().filter(move |record| record.owner.load(Ordering::Relaxed) == number)
}

/// Takes a record for the caller alone. `None`: memory for it cannot be had.
pub(in super::super) fn borrow() -> Option<&'static Record> {
    let record = blocks().find_map(Records::take).or_else(grow)?;
    // Relaxed: see `owned_by`.
    record.owner.store(thread::number(), Ordering::Relaxed);
    // SeqCst, and a full fence: with the load in `sole`. Either `sole` finds this thread counted, or this thread's
    // calls find the slot closed. The fence also stands between the increment and every later call with the record.
    POOL.owners.fetch_add(1, Ordering::SeqCst);
    fence::full();
    Some(record)
}

/// Makes blocks until one has a record for the caller.
fn grow() -> Option<&'static Record> {
    for (number, place) in POOL.more.iter().enumerate() {
        // Acquire: as in `blocks`.
        if place.load(Ordering::Acquire).is_null() {
            let block = Box::into_raw(Block::new(number)?);
            // Release pairs with the Acquire in `blocks`. Relaxed (failure): nothing of the other block is used here.
            if place.compare_exchange(ptr::null_mut(), block, Ordering::Release, Ordering::Relaxed).is_err() {
                // SAFETY: from `Box::into_raw` above, and no other thread has it.
                drop(unsafe { Box::from_raw(block) });
            }
        }
        if let Some(record) = blocks().nth(number + 1).and_then(Records::take) {
            return Some(record);
        }
    }
    None
}

impl Record {
    /// Gives the record back for reuse. Only for its owner, and with no call in it. The owner's thread must not lead to
    /// it any more.
    pub(in super::super) fn give_back(&self) {
        // Relaxed: see `owned_by`.
        self.owner.store(0, Ordering::Relaxed);
        let Some((word, mine)) = blocks().find_map(|block| block.bit_of(self)) else {
            unreachable!("a record that was taken is in a block")
        };
        // Release pairs with the Acquire of a scan (`that_are_owned`), and with the Acquire in `take` by which the next
        // owner takes the record.
        word.fetch_and(!mine, Ordering::Release);
        // AcqRel, after the last use of the record. Release pairs with the Acquire of the load in `sole`: a thread that
        // finds itself alone has seen what the others did. Acquire keeps the chain: each decrement passes on what the
        // earlier ones have published.
        POOL.owners.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether no other thread has a record, so that no other thread can be inside any callback.
///
/// The caller has changed a slot's word by a SeqCst read-modify-write, or has taken the lock after the thread that did.
pub(in super::super) fn sole() -> bool {
    if MODELLED {
        // loom treats SeqCst accesses as AcqRel; this fence has the effect of the real access.
        fence::full();
    }
    // SeqCst orders this load after the caller's read-modify-write, and pairs with the increment and the fence in
    // `borrow`: either this load sees the increment, or the other thread sees the slot's new word after its fence.
    // Acquire, which SeqCst includes, pairs with the Release of the decrement in `Record::give_back`.
    POOL.owners.load(Ordering::SeqCst) == usize::from(own::existing().is_some())
}

/// In a child process after `fork`: clears the records of all other threads, which do not exist there.
pub(in super::super) fn forget_others() {
    let me = thread::number();
    let mut owners = 0;
    for block in blocks() {
        for record in block.that_are_owned() {
            // Relaxed, all accesses of this function: the process has one thread.
            if record.owner.load(Ordering::Relaxed) == me {
                owners += 1;
                continue;
            }
            for cell in &record.cells {
                cell.handle.store(0, Ordering::Relaxed);
                cell.mark.store(0, Ordering::Relaxed);
            }
            record.owner.store(0, Ordering::Relaxed);
            if let Some((word, theirs)) = block.bit_of(record) {
                word.fetch_and(!theirs, Ordering::Relaxed);
            }
        }
    }
    POOL.owners.store(owners, Ordering::Relaxed);
}
