//! Sets of verbs: what a subject offers, and what a program needs.

use std::fmt;

use super::Verb;

/// A set of verbs.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct VerbSet(u32);

impl VerbSet {
    /// The empty set.
    pub const EMPTY: VerbSet = VerbSet(0);

    /// The set of these verbs.
    pub const fn of(verbs: &[Verb]) -> Self {
        let mut set = 0;
        let mut i = 0;
        while i < verbs.len() {
            set |= 1 << verbs[i] as u32;
            i += 1;
        }
        VerbSet(set)
    }

    /// The verbs that are in this set or in `other`.
    #[must_use]
    pub const fn union(self, other: VerbSet) -> Self {
        VerbSet(self.0 | other.0)
    }

    /// The verbs that are in this set and not in `other`.
    #[must_use]
    pub const fn minus(self, other: VerbSet) -> Self {
        VerbSet(self.0 & !other.0)
    }

    /// Whether the set contains `verb`.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u32) != 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a verb.
    pub fn insert(&mut self, verb: Verb) {
        self.0 |= 1 << verb as u32;
    }

    /// The verbs of the set, in the order of [`Verb::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.iter().copied().filter(move |verb| self.contains(*verb))
    }
}

impl FromIterator<Verb> for VerbSet {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        let mut set = VerbSet::EMPTY;
        for verb in verbs {
            set.insert(verb);
        }
        set
    }
}

impl fmt::Debug for VerbSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Verb::name)).finish()
    }
}
