//! Revisits: an earlier read reads from a write that came later.
//!
//! From TruSt (Kokologiannakis, Marmanis, Gladstein, Vafeiadis, POPL 2022). A revisit takes away the read and what was
//! added after it, except what leads to the write. Many graphs can lose events so and become the same graph; exactly
//! one of them makes the revisit, the one whose lost events are *maximal*. So no graph is visited twice, and none is
//! missed.

use super::{Event, EventId, Graph, Kind, Location};

impl Graph {
    /// The reads of the location of `write`, which is not in the graph yet, that may read from it: those that do not
    /// lead to it.
    pub(crate) fn unrelated_reads(&self, write: &Event) -> impl Iterator<Item = EventId> {
        let reads = &self.location(write.location).reads;
        let of = |first: EventId| &reads[reads.partition_point(|read| *read < first)..];
        (0..self.threads.len() as u32).flat_map(move |thread| {
            // Of each thread, the events that lead to the write come first.
            let lead = EventId::new(thread, self.clocks.count(write.prefix, thread));
            of(lead).iter().copied().take_while(move |read| read.thread == thread)
        })
    }

    /// Whether every event that a revisit of `read` by `write` takes away, the read included, was added maximally: at
    /// its location it read from, or was put behind, the newest write there was, no read had read from it, and the
    /// first alternative of each choice was taken. `write` is not in the graph yet.
    pub(crate) fn is_maximal(&self, read: &Event, write: &Event) -> bool {
        self.lost(read, write).all(|event| self.was_added_maximally(event, write))
    }

    /// What a revisit takes away.
    fn lost<'a>(&'a self, read: &'a Event, write: &'a Event) -> impl Iterator<Item = &'a Event> {
        let first = self.added.partition_point(|(id, _)| self.event(*id).stamp < read.stamp);
        self.added[first..].iter().map(|(id, _)| self.event(*id)).filter(|it| !self.leads_to(it.id, write))
    }

    fn was_added_maximally(&self, event: &Event, write: &Event) -> bool {
        if event.branch != 0 || (event.kind == Kind::Choice && event.value != 0) {
            return false;
        }
        // Events that were there when `event` was added, or would have been without the revisit's read.
        let earlier = |id: EventId| id.is_initial() || self.event(id).stamp <= event.stamp || self.leads_to(id, write);
        let source = match event.kind {
            Kind::Write => {
                let read_earlier = |read: &EventId| self.event(*read).from == event.id && earlier(*read);
                if self.location(event.location).reads.iter().any(read_earlier) {
                    return false;
                }
                event.id
            }
            // If the read was revisited itself, the write that it reads from came later and is lost as well, and is not
            // maximal, because this read reads from it.
            Kind::Read => event.from,
            Kind::Fence | Kind::Sync | Kind::Choice => return true,
        };
        let position = self.position(event.location, source);
        !self.location(event.location).writes[position..].iter().any(|newer| earlier(*newer))
    }

    /// Makes `into` the graph without what a revisit of `read` by `write` takes away. Its memory is used again.
    pub(crate) fn restrict(&self, read: &Event, write: &Event, into: &mut Graph) {
        let Graph { threads, locations, added, clocks, next_stamp, sc, sc_fences } = into;
        (*next_stamp, *sc, *sc_fences) = (self.next_stamp, 0, 0);
        clocks.clear(self.clocks.width());
        let mut renumbered = vec![0; self.clocks.rows()];
        threads.resize_with(self.threads.len(), Vec::new);
        for (kept, events) in threads.iter_mut().zip(&self.threads) {
            let stays = |event: &Event| event.stamp < read.stamp || self.leads_to(event.id, write);
            kept.clear();
            // What stays of a thread is its beginning: whatever comes before an event stays with it.
            kept.extend_from_slice(&events[..events.partition_point(stays)]);
            for event in kept {
                for clock in event.clocks_mut() {
                    *clock = clocks.copy(&self.clocks, *clock, &mut renumbered);
                }
                *sc += usize::from(event.order.sc);
                *sc_fences += usize::from(event.order.sc && event.kind == Kind::Fence);
            }
        }
        let there = |id: &EventId| id.index < threads[id.thread as usize].len() as u32;
        let keep = |ids: &[EventId], into: &mut Vec<EventId>| {
            into.clear();
            into.extend(ids.iter().copied().filter(there));
        };
        locations.resize_with(self.locations.len(), Location::default);
        for (kept, location) in locations.iter_mut().zip(&self.locations) {
            kept.initial = location.initial;
            keep(&location.writes, &mut kept.writes);
            keep(&location.reads, &mut kept.reads);
        }
        // Numbers of locations that no event has any more are given again, so that they do not grow with the search.
        let used = |it: &Location| !(it.writes.is_empty() && it.reads.is_empty());
        let end = locations.iter().rposition(used).map_or(0, |last| last + 1);
        locations.truncate(end.max(write.location as usize + 1));
        // The clocks of what stays are never given back, so how many rows there were before does not matter.
        added.clear();
        added.extend(self.added.iter().map(|(id, _)| (*id, 0)).filter(|(id, _)| there(id)));
    }

    /// Puts `read` into the order of stamps. It was added last and has an earlier stamp.
    pub(crate) fn sort_last(&mut self) {
        let (id, rows) = self.added.pop().expect("an event was just added");
        let stamp = self.event(id).stamp;
        let at = self.added.partition_point(|(id, _)| self.event(*id).stamp < stamp);
        self.added.insert(at, (id, rows));
    }
}

impl Event {
    fn clocks_mut(&mut self) -> [&mut super::Clock; 5] {
        [&mut self.before, &mut self.prefix, &mut self.released, &mut self.unfenced, &mut self.fenced]
    }
}
