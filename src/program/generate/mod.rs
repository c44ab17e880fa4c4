//! Programs from raw choices: one decoder for the property engine and for the fuzzer.
//!
//! A raw program is a list of [`Record`]s. The first record is the header: the number of threads and callbacks, and the
//! hostile switches. Each other record adds one op, or one small pattern of ops, in a section that the record names
//! itself. A list without one of its records therefore decodes to the program without that op. This makes proptest's
//! shrinking of lists and a fuzzer's mutations work on programs. In every choice, a zero byte is the plainest.
//!
//! The result is always [valid](super::validate) and stays within a [`Domain`]. It also *ends* on a sound subject, by
//! construction:
//!
//! * An op that calls from inside a body does so in one call only (`nth`). A program has at most three such ops, so
//!   recursion is at most four deep.
//! * A program has at most one op that waits inside a body, and it runs once. It waits for its own callback, for a
//!   callback that calls it, or for a callback of a higher index whose body does not wait: two bodies never wait for
//!   each other. (Programs in which only one thread ever has frames may have more such ops.)
//! * No body does `send`, `barrier` or `shutdown`. The body of an `exclusive` callback neither waits nor calls another
//!   callback, so a registry that serialises such callbacks cannot be made to wait in a circle.
//! * A gate is opened by another thread than the one held at it. If the order of a run makes that impossible, `hold`
//!   and `reach` give up by themselves.
//!
//! The choice of ops leans towards the hazard:
//!
//! * a callback is registered in `before` unless a record says otherwise;
//! * the most frequent ops are firings and the ways of revoking;
//! * a revoking op may bring a call on another thread to race against, a registration right after it (so that the slot
//!   is reused), and a firing of the revoked callback in `after`.
//!
//! No expectations are generated: the ledger decides what must not happen.
//!
//! Not generated: `fail_allocation` and `capacity` (a domain has neither), `shutdown` on a thread while others still
//! use the library, and texts for the parser (any bytes will do for that).

mod bodies;
mod builder;
mod patterns;

use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::strategy::Strategy;

use super::{Hostile, MAX_CALLBACKS, MAX_STEPS, MAX_THREADS, Program, Site, Verb, VerbSet};
use builder::Builder;

/// One choice: which op, in which section, on which callback, and with which details.
pub type Record = [u8; 4];

/// What programs are made of, and how large they are. An engine combines what a subject
/// [offers](crate::subject::Offer) with a size of its own.
///
/// Start from [`Domain::everything`] and set fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Domain {
    /// The verbs that may be used.
    pub verbs: VerbSet,
    /// The switches that may be on.
    pub hostile: Vec<Hostile>,
    /// The sites at which a thread may be stalled.
    pub sites: Vec<Site>,
    /// Maximum number of threads, not counting the main thread.
    pub max_threads: usize,
    /// Maximum number of callbacks.
    pub max_callbacks: usize,
    /// Maximum number of steps in the whole program.
    pub max_steps: usize,
}

impl Domain {
    /// Every verb, switch and site, in small programs: at most 3 threads, 4 callbacks and 20 steps.
    pub fn everything() -> Self {
        Domain {
            verbs: VerbSet::of(Verb::ALL),
            hostile: Hostile::ALL.to_vec(),
            sites: Site::ALL.to_vec(),
            max_threads: 3,
            max_callbacks: 4,
            max_steps: 20,
        }
    }

    /// Whether this verb may be used.
    fn has(&self, verb: Verb) -> bool {
        self.verbs.contains(verb)
    }

    fn threads(&self) -> usize {
        self.max_threads.min(MAX_THREADS)
    }

    fn callbacks(&self) -> usize {
        self.max_callbacks.min(MAX_CALLBACKS)
    }

    fn steps(&self) -> usize {
        self.max_steps.min(MAX_STEPS)
    }
}

/// Decodes choices to a program.
#[must_use]
pub fn decode(raw: &[Record], domain: &Domain) -> Program {
    let Some((header, records)) = raw.split_first() else { return Program::default() };
    let mut builder = Builder::new(*header, domain);
    for record in records {
        builder.record(*record);
    }
    builder.finish()
}

/// Decodes a fuzzer's bytes to a program. Four bytes are a record; missing bytes at the end are zero.
#[must_use]
pub fn decode_bytes(bytes: &[u8], domain: &Domain) -> Program {
    let record = |chunk: &[u8]| std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0));
    let raw: Vec<Record> = bytes.chunks(4).map(record).collect();
    decode(&raw, domain)
}

/// A proptest strategy for programs. It shrinks by removing records and making bytes smaller.
pub fn strategy(domain: Domain) -> impl Strategy<Value = Program> {
    // The header is separate from the list, so that shrinking the list never turns an op into a header.
    let raw = (any::<Record>(), vec(any::<Record>(), 0..=domain.steps()));
    raw.prop_map(move |(header, mut records)| {
        records.insert(0, header);
        decode(&records, &domain)
    })
}
