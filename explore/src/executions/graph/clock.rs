//! Vector clocks: how many events of each thread come before an event.

use super::EventId;

/// A set of events that contains, with an event, all earlier ones of its thread. Only valid for the [`Clocks`] that
/// made it.
///
/// It is the set that the row says, with the first `count` events of `thread` added. An event's own clocks name its own
/// thread here, so that an event which learns nothing new shares the row of the event before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    row: u32,
    thread: u32,
    count: u32,
}

impl Clock {
    /// No events.
    pub(crate) const EMPTY: Self = Self { row: 0, thread: 0, count: 0 };

    /// The same set with the first `count` events of `thread` in place of those that were added before. The earlier
    /// addition has to be of the same thread.
    pub(crate) fn advanced(self, thread: u32, count: u32) -> Self {
        debug_assert!(self.count == 0 || self.thread == thread, "a clock that follows two threads");
        Self { row: self.row, thread, count }
    }

    fn is_empty(self) -> bool {
        self.row == 0 && self.count == 0
    }
}

/// Storage for the rows of clocks. A row never changes; the newest rows are given back by [`Clocks::truncate`].
#[derive(Debug, Clone)]
pub(crate) struct Clocks {
    /// Numbers in a row: one for each thread.
    width: usize,
    /// Row after row. The first is zero.
    numbers: Vec<u32>,
}

impl Clocks {
    pub(crate) fn new(width: usize) -> Self {
        Self { width, numbers: vec![0; width] }
    }

    /// Makes all clocks invalid, and rows `width` wide. The memory is used again.
    pub(crate) fn clear(&mut self, width: usize) {
        self.width = width;
        self.numbers.clear();
        self.numbers.resize(width, 0);
    }

    /// How many rows there are, for [`Clocks::truncate`].
    pub(crate) fn rows(&self) -> usize {
        self.numbers.len() / self.width
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.numbers.truncate(rows * self.width);
    }

    /// Makes room for `threads` threads. Clocks stay valid.
    pub(crate) fn widen(&mut self, threads: usize) {
        if threads <= self.width {
            return;
        }
        let width = threads.next_power_of_two();
        let mut numbers = Vec::with_capacity(self.rows() * width);
        for row in self.numbers.chunks_exact(self.width) {
            numbers.extend_from_slice(row);
            numbers.resize(numbers.len() + width - self.width, 0);
        }
        *self = Self { width, numbers };
    }

    fn row(&self, row: u32) -> &[u32] {
        let start = row as usize * self.width;
        &self.numbers[start..start + self.width]
    }

    /// How many events of `thread` are in the set.
    #[inline]
    pub(crate) fn count(&self, clock: Clock, thread: u32) -> u32 {
        let count = self.numbers[clock.row as usize * self.width + thread as usize];
        if clock.thread == thread { count.max(clock.count) } else { count }
    }

    /// Whether the event is in the set. The initial write of a location is in every set.
    #[inline]
    pub(crate) fn has(&self, clock: Clock, event: EventId) -> bool {
        event.is_initial() || self.count(clock, event.thread) > event.index
    }

    /// The union. It follows the thread that `clock` follows, unless `clock` is empty.
    pub(crate) fn join(&mut self, clock: Clock, other: Clock) -> Clock {
        if other.is_empty() || clock == other {
            return clock;
        }
        if clock.is_empty() {
            return other;
        }
        let adds = |thread| thread != clock.thread && self.count(other, thread) > self.row(clock.row)[thread as usize];
        let own = clock.count.max(self.count(other, clock.thread));
        if !(0..self.width as u32).any(adds) {
            return Clock { count: own, ..clock };
        }
        let row = self.rows() as u32;
        for thread in 0..self.width as u32 {
            let number = self.row(clock.row)[thread as usize].max(self.count(other, thread));
            self.numbers.push(number);
        }
        Clock { row, thread: clock.thread, count: own }
    }

    /// Copies a clock from `others`, whose rows are renumbered: `renumbered` has an entry for each of them that was
    /// copied before, and 0 for the rest.
    pub(crate) fn copy(&mut self, others: &Clocks, clock: Clock, renumbered: &mut [u32]) -> Clock {
        debug_assert_eq!(self.width, others.width, "rows of one width");
        let new = &mut renumbered[clock.row as usize];
        if clock.row != 0 && *new == 0 {
            *new = self.rows() as u32;
            self.numbers.extend_from_slice(others.row(clock.row));
        }
        Clock { row: *new, ..clock }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_has_the_events_of_both_and_of_no_other() {
        let mut clocks = Clocks::new(2);
        let a = Clock::EMPTY.advanced(0, 3);
        let b = Clock::EMPTY.advanced(1, 2);
        let both = clocks.join(a, b);
        assert_eq!((clocks.count(both, 0), clocks.count(both, 1)), (3, 2));
        clocks.widen(5);
        let c = clocks.join(Clock::EMPTY.advanced(4, 1), both);
        assert_eq!([0, 1, 2, 3, 4].map(|thread| clocks.count(c, thread)), [3, 2, 0, 0, 1]);
        assert_eq!([0, 1, 2, 3, 4].map(|thread| clocks.count(both, thread)), [3, 2, 0, 0, 0]);
    }

    #[test]
    fn a_union_that_adds_nothing_takes_no_row() {
        let mut clocks = Clocks::new(4);
        let a = clocks.join(Clock::EMPTY.advanced(0, 3), Clock::EMPTY.advanced(1, 2));
        let rows = clocks.rows();
        let later = clocks.join(a.advanced(0, 9), Clock::EMPTY.advanced(1, 1));
        assert_eq!((clocks.rows(), clocks.count(later, 0), clocks.count(later, 1)), (rows, 9, 2));
    }
}
