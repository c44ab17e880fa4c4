//! Revisits: an earlier read reads from a write that came later.
//!
//! From TruSt (Kokologiannakis, Marmanis, Gladstein, Vafeiadis, POPL 2022). A revisit takes away the read and what was
//! added after it, except what leads to the write. Many graphs can lose events so and become the same graph; exactly
//! one of them makes the revisit, the one whose lost events are *maximal*. So no graph is visited twice, and none is
//! missed.

use super::{Clocks, Event, EventId, Graph, Kind, Location};

impl Graph {
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

    /// The graph without what a revisit of `read` by `write` takes away.
    pub(crate) fn restricted(&self, read: &Event, write: &Event) -> Graph {
        let stays = |event: &Event| event.stamp < read.stamp || self.leads_to(event.id, write);
        let mut renumbered = vec![0; self.clocks.rows()];
        let mut graph = Graph {
            threads: Vec::with_capacity(self.threads.len()),
            locations: Vec::with_capacity(self.locations.len()),
            added: Vec::with_capacity(self.added.len()),
            clocks: Clocks::new(self.clocks.width()),
            next_stamp: self.next_stamp,
            sc: 0,
            sc_fences: 0,
        };
        for events in &self.threads {
            let kept = events.iter().take_while(|event| stays(event)).map(|event| {
                let mut event = *event;
                for clock in event.clocks_mut() {
                    *clock = graph.clocks.copy(&self.clocks, *clock, &mut renumbered);
                }
                graph.sc += usize::from(event.order.sc);
                graph.sc_fences += usize::from(event.order.sc && event.kind == Kind::Fence);
                event
            });
            graph.threads.push(kept.collect());
        }
        let there = |id: &EventId| id.index < graph.threads[id.thread as usize].len() as u32;
        let keep = |ids: &[EventId]| ids.iter().copied().filter(there).collect();
        for location in &self.locations {
            let Location { initial, writes, reads } = location;
            graph.locations.push(Location { initial: *initial, writes: keep(writes), reads: keep(reads) });
        }
        // Numbers of locations that no event has any more are given again, so that they do not grow with the search.
        let used = |it: &Location| !(it.writes.is_empty() && it.reads.is_empty());
        let end = graph.locations.iter().rposition(used).map_or(0, |last| last + 1);
        graph.locations.truncate(end.max(write.location as usize + 1));
        // The clocks of what stays are never given back, so how many rows there were before does not matter.
        graph.added = self.added.iter().map(|(id, _)| (*id, 0)).filter(|(id, _)| there(id)).collect();
        graph
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
