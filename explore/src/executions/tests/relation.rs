//! Relations between the events of an execution, for the oracle.

/// A relation between at most [`Relation::MOST`] events: a row of bits for each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relation {
    size: usize,
    rows: [u32; Relation::MOST],
}

impl Relation {
    pub(super) const MOST: usize = 32;

    pub(super) fn new(size: usize, holds: impl Fn(usize, usize) -> bool) -> Self {
        let row = |a| (0..size).filter(|b| holds(a, *b)).fold(0, |row, b| row | 1 << b);
        Self::of_rows(size, row)
    }

    fn of_rows(size: usize, row: impl Fn(usize) -> u32) -> Self {
        assert!(size <= Self::MOST, "{size} events, of at most {}", Self::MOST);
        Self { size, rows: std::array::from_fn(|a| if a < size { row(a) } else { 0 }) }
    }

    pub(super) fn on(size: usize, holds: impl Fn(usize) -> bool) -> Self {
        Self::new(size, |a, b| a == b && holds(a))
    }

    pub(super) fn has(&self, a: usize, b: usize) -> bool {
        self.rows[a] >> b & 1 == 1
    }

    pub(super) fn then(&self, next: &Self) -> Self {
        Self::of_rows(self.size, |a| {
            let (mut left, mut all) = (self.rows[a], 0);
            while left != 0 {
                all |= next.rows[left.trailing_zeros() as usize];
                left &= left - 1;
            }
            all
        })
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        Self::of_rows(self.size, |a| self.rows[a] | other.rows[a])
    }

    pub(super) fn and(&self, holds: impl Fn(usize, usize) -> bool) -> Self {
        Self::new(self.size, |a, b| self.has(a, b) && holds(a, b))
    }

    pub(super) fn inverse(&self) -> Self {
        Self::new(self.size, |a, b| self.has(b, a))
    }

    pub(super) fn optional(&self) -> Self {
        Self::of_rows(self.size, |a| self.rows[a] | 1 << a)
    }

    pub(super) fn closure(&self) -> Self {
        let mut closed = *self;
        for middle in 0..self.size {
            for a in 0..self.size {
                if closed.has(a, middle) {
                    closed.rows[a] |= closed.rows[middle];
                }
            }
        }
        closed
    }

    pub(super) fn irreflexive(&self) -> bool {
        (0..self.size).all(|a| !self.has(a, a))
    }
}
