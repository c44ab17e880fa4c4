//! Names of objects: the same object has the same name in every interleaving, or what was done to it could not be compared.
//!
//! An object of C is named after its address, a static of Rust after its own name, any other after the thread that made it and how many
//! it had made before. Objects that one operation makes for itself (a lock in an object of C) are named after what that is named after.

use super::mix;
use crate::world::{MOST_THREADS, Me};
use std::cell::Cell;

/// An object's name; 0: it has none.
pub(crate) type Name = u64;

/// How many objects each thread has made that are named after it.
#[derive(Default)]
pub(super) struct Made([u64; MOST_THREADS]);

impl Made {
    pub(super) fn next(&mut self, me: Me) -> Name {
        self.0[me] += 1;
        name(me as u64, self.0[me])
    }
}

fn name(of: u64, number: u64) -> Name {
    (mix(u128::from(of) + 7, u128::from(number)) as u64).max(1)
}

thread_local! {
    /// Objects that are made now are named after this, and how many have been.
    static NAMED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// Runs `f`, in which objects are made: they get their names from `after` and their number, not from the thread that
/// happens to be the first to need them.
pub(crate) fn named<R>(after: u64, f: impl FnOnce() -> R) -> R {
    let outer = NAMED.replace(Some((after, 0)));
    let made = f();
    NAMED.set(outer);
    made
}

/// The name of what is made now, inside [`named`].
pub(super) fn next_named() -> Option<Name> {
    let (after, made) = NAMED.get()?;
    NAMED.set(Some((after, made + 1)));
    Some(name(after, made + 1))
}

/// A number for a text, for [`named`].
pub(crate) const fn number_of(text: &str) -> u64 {
    let (mut number, mut i) = (0xCBF2_9CE4_8422_2325_u64, 0);
    while i < text.len() {
        number = (number ^ text.as_bytes()[i] as u64).wrapping_mul(0x0100_0000_01B3);
        i += 1;
    }
    number
}
