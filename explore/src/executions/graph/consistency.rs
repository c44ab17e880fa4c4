//! Which graphs are executions: RC11 in C++20's wording.
//!
//! * Coherence and atomicity: kept by where reads and writes may be placed ([`Graph::floor`], [`Graph::splits`]).
//! * No cycle of program order and reads-from: kept because an event reads only from events that are there.
//! * Sequential consistency: [`Graph::sc_holds`].

use super::{Event, EventId, Graph, Kind};

/// The events of one location by their place in extended coherence order: `a` is before `b` if and only if the key of
/// `a` is smaller.
type Keyed = Vec<(usize, EventId)>;

impl Graph {
    /// The lowest position of coherence order that `event`, which has its clock and no place yet, may read from or be
    /// put behind: nothing older than what happens before it wrote or read.
    pub(crate) fn floor(&self, event: &Event) -> usize {
        let location = self.location(event.location);
        let known = |write: &EventId| self.clocks.has(event.before, *write);
        let mut floor = location.writes.iter().rposition(known).map_or(0, |index| index + 1);
        if location.reads.is_empty() {
            return floor;
        }
        // Of each thread the last read counts: earlier ones read nothing newer.
        for thread in 0..self.threads.len() as u32 {
            let count = self.clocks.count(event.before, thread);
            let end = location.reads.partition_point(|read| *read < EventId::new(thread, count));
            if let Some(read) = end.checked_sub(1).map(|last| location.reads[last]).filter(|it| it.thread == thread) {
                floor = floor.max(self.position(event.location, self.event(read).from));
            }
        }
        floor
    }

    /// Whether a write behind `position` would come between a read-modify-write and what it read.
    pub(crate) fn splits(&self, location: u32, position: usize) -> bool {
        self.location(location).writes.get(position).is_some_and(|next| self.event(*next).exclusive)
    }

    /// Whether the graph may have become inconsistent by `event`, which was just added. It cannot have if it is the
    /// newest of its location, for then it is before nothing.
    pub(crate) fn sc_at_risk(&self, event: &Event, newest: bool) -> bool {
        !newest && self.sc >= 2 && (event.order.sc || self.sc_fences > 0)
    }

    /// Whether the sequentially consistent events have an order: the relation `psc` has no cycle.
    ///
    /// From C++20's [atomics.order]: `psc` relates two such events, or such events with a fence between them and what
    /// is ordered, if one is before the other by program order, by program order around a happens-before, by
    /// happens-before at one location, or by coherence.
    pub(crate) fn sc_holds(&self) -> bool {
        if self.sc < 2 {
            return true;
        }
        let nodes: Vec<&Event> = self.events().filter(|event| event.order.sc).collect();
        let keyed: Vec<Keyed> = if self.sc_fences > 0 {
            (0..self.locations.len() as u32).map(|location| self.keyed(location)).collect()
        } else {
            Vec::new()
        };
        let words = nodes.len().div_ceil(64);
        // A row of bits for each node: its successors.
        let mut successors = vec![0_u64; nodes.len() * words];
        for (from, a) in nodes.iter().enumerate() {
            for (to, b) in nodes.iter().enumerate() {
                if from != to && self.sc_before(a, b, &keyed) {
                    successors[from * words + to / 64] |= 1 << (to % 64);
                }
            }
        }
        // Takes away nodes without successors until none is left, or each that is left has one: a cycle.
        let mut left = vec![0_u64; words];
        for node in 0..nodes.len() {
            left[node / 64] |= 1 << (node % 64);
        }
        let mut remaining = nodes.len();
        loop {
            let mut removed = 0;
            for node in 0..nodes.len() {
                let present = left[node / 64] >> (node % 64) & 1 == 1;
                let row = &successors[node * words..(node + 1) * words];
                if present && row.iter().zip(&left).all(|(to, left)| to & left == 0) {
                    left[node / 64] &= !(1 << (node % 64));
                    removed += 1;
                }
            }
            remaining -= removed;
            if remaining == 0 || removed == 0 {
                return remaining == 0;
            }
        }
    }

    fn keyed(&self, location: u32) -> Keyed {
        let it = self.location(location);
        let events = it.writes.iter().chain(&it.reads);
        events.map(|id| (self.key(self.event(*id)), *id)).collect()
    }

    /// See [`Keyed`]. A write at position `p` has `2p`, and the reads that read from it have `2p + 1`.
    fn key(&self, event: &Event) -> usize {
        match event.kind {
            Kind::Write => 2 * self.position(event.location, event.id),
            _ => 2 * self.position(event.location, event.from) + 1,
        }
    }

    /// Whether `psc` relates the sequentially consistent events `a` and `b`.
    fn sc_before(&self, a: &Event, b: &Event, keyed: &[Keyed]) -> bool {
        if a.id.thread == b.id.thread {
            return a.id.index < b.id.index;
        }
        let after_a = self.thread(a.id.thread).get(a.id.index as usize + 1);
        let before_b = b.id.index.checked_sub(1).map(|last| self.event(EventId::new(b.id.thread, last)));
        let before = |a: &Event, b: &Event| self.happens_before(a, b);
        match (a.kind == Kind::Fence, b.kind == Kind::Fence) {
            (false, false) => {
                // By coherence or by happens-before, at one location; or by program order on both sides of a
                // happens-before.
                let here =
                    a.location == b.location && (before(a, b) || (b.kind == Kind::Write && self.key(a) < self.key(b)));
                here || matches!((after_a, before_b), (Some(c), Some(d)) if before(c, d))
            }
            (true, false) => {
                // The same from any event that the fence happens before.
                let key = self.key(b);
                before_b.is_some_and(|d| before(a, d))
                    || keyed[b.location as usize].iter().any(|(other, id)| {
                        let c = self.event(*id);
                        before(a, c) && (before(c, b) || (b.kind == Kind::Write && *other < key))
                    })
            }
            (false, true) => {
                // The same to any event that happens before the fence.
                let key = self.key(a);
                after_a.is_some_and(|c| before(c, b))
                    || keyed[a.location as usize].iter().any(|(other, id)| {
                        let d = self.event(*id);
                        before(d, b) && (before(a, d) || (d.kind == Kind::Write && key < *other))
                    })
            }
            (true, true) => {
                // By happens-before, or by extended coherence between what the first happens before and what happens
                // before the second.
                before(a, b)
                    || keyed.iter().any(|events| {
                        let first =
                            events.iter().filter(|(_, id)| before(a, self.event(*id))).map(|(key, _)| key).min();
                        let last = events.iter().filter(|(_, id)| before(self.event(*id), b)).map(|(key, _)| key).max();
                        matches!((first, last), (Some(first), Some(last)) if first < last)
                    })
            }
        }
    }
}
