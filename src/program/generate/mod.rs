//! Programs from raw choices: one decoder for the property engine and for the fuzzer.
//!
//! A raw program is a list of [`Record`]s. The first is the header (how many threads and callbacks, which hostile
//! switches); each other record adds one op, or one small pattern of ops, at a place that it names itself. So a list with
//! a record removed decodes to the program with that op removed, which is what lets proptest's list shrinking, and a
//! fuzzer's mutations, work on programs. All bytes zero is the plainest choice everywhere.
//!
//! What comes out is always [valid](super::validate) and stays within a [`Domain`]. It also *ends* on a sound
//! subject, by construction:
//!
//! * whatever calls from inside a body does so in one call only (`nth`), and there are at most three such ops: recursion
//!   is at most four deep;
//! * a program has at most one op that waits inside a body, and it runs once (programs in which only one thread ever has
//!   frames may have more); it waits for its own callback, for one that calls it, or for a callback of a higher index
//!   whose body does not wait: two bodies never wait for each other;
//! * no body does `send`, `barrier` or `shutdown`; what an `exclusive` callback does neither waits nor calls another, so that a
//!   registry that serialises them cannot be made to wait in a circle;
//! * a gate is opened by another thread than the one held at it. When the order of a run makes that impossible, `hold`
//!   and `reach` give up by themselves.
//!
//! The choice of ops leans towards the hazard: a callback is registered in `before` unless a record says otherwise, the
//! commonest ops are firing and the ways of revoking, and a revoking op may bring a call on another thread to race against, a
//! registration right after it (so that the slot is reused) and a firing of the dead in `after`. Expectations are never
//! generated: what must not happen is the ledger's to say.
//!
//! Not here: `fail_allocation` and `capacity` (a domain has neither), `shutdown` on a thread while others still use
//! the library, and texts for the parser (any bytes will do for that).

mod bodies;
mod builder;
mod patterns;

use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::strategy::Strategy;

use super::{Hostile, MAX_CALLBACKS, MAX_STEPS, MAX_THREADS, Program, Site, Verb, VerbSet};
use builder::Builder;

/// One choice: what, where, on which callback, and how.
pub type Record = [u8; 4];

/// What programs are made of, and how large they are. An engine makes one of what a subject
/// [offers](crate::subject::Offer) and of a size of its own.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The verbs that may appear.
    pub verbs: VerbSet,
    /// The switches that may be on.
    pub hostile: Vec<Hostile>,
    /// The sites at which a thread may be stalled.
    pub sites: Vec<Site>,
    /// Most threads beside the main one.
    pub max_threads: usize,
    /// Most callbacks.
    pub max_callbacks: usize,
    /// Most steps in the whole program.
    pub max_steps: usize,
}

impl Domain {
    /// Every verb, switch and site there is, in small programs.
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

    /// Whether this verb may appear.
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

/// The program that these choices mean.
#[must_use]
pub fn decode(raw: &[Record], domain: &Domain) -> Program {
    let Some((header, records)) = raw.split_first() else { return Program::default() };
    let mut builder = Builder::new(*header, domain);
    for record in records {
        builder.record(*record);
    }
    builder.finish()
}

/// The program that a fuzzer's bytes mean: four to a record, what is missing at the end is zero.
#[must_use]
pub fn decode_bytes(bytes: &[u8], domain: &Domain) -> Program {
    let record = |chunk: &[u8]| std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0));
    let raw: Vec<Record> = bytes.chunks(4).map(record).collect();
    decode(&raw, domain)
}

/// Programs for a property: shrinks by leaving records out and making bytes smaller.
pub fn strategy(domain: Domain) -> impl Strategy<Value = Program> {
    // The header stands apart, so that shrinking the list never turns an op into a header.
    let raw = (any::<Record>(), vec(any::<Record>(), 0..=domain.steps()));
    raw.prop_map(move |(header, mut records)| {
        records.insert(0, header);
        decode(&records, &domain)
    })
}
