//! Relations between the events of an execution, for the oracle.

/// A relation: a row of bits for each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation(Vec<u64>);

impl Relation {
    pub(super) fn new(size: usize, holds: impl Fn(usize, usize) -> bool) -> Self {
        let row = |a| (0..size).filter(|b| holds(a, *b)).fold(0, |row, b| row | 1 << b);
        Self((0..size).map(row).collect())
    }

    pub(super) fn on(size: usize, holds: impl Fn(usize) -> bool) -> Self {
        Self::new(size, |a, b| a == b && holds(a))
    }

    pub(super) fn has(&self, a: usize, b: usize) -> bool {
        self.0[a] >> b & 1 == 1
    }

    pub(super) fn then(&self, next: &Self) -> Self {
        let row = |row: &u64| (0..next.0.len()).filter(|b| row >> b & 1 == 1).fold(0, |all, b| all | next.0[b]);
        Self(self.0.iter().map(row).collect())
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    pub(super) fn and(&self, holds: impl Fn(usize, usize) -> bool) -> Self {
        Self::new(self.0.len(), |a, b| self.has(a, b) && holds(a, b))
    }

    pub(super) fn inverse(&self) -> Self {
        Self::new(self.0.len(), |a, b| self.has(b, a))
    }

    pub(super) fn optional(&self) -> Self {
        self.or(&Self::on(self.0.len(), |_| true))
    }

    pub(super) fn closure(&self) -> Self {
        let mut closed = self.clone();
        for middle in 0..closed.0.len() {
            for a in 0..closed.0.len() {
                if closed.has(a, middle) {
                    closed.0[a] |= closed.0[middle];
                }
            }
        }
        closed
    }

    pub(super) fn irreflexive(&self) -> bool {
        (0..self.0.len()).all(|a| !self.has(a, a))
    }
}
