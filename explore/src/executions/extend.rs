//! Extends a graph: whose turn it is, and what its request adds.

use super::fiber::Request;
use super::graph::{Action, Event, EventId, Kind, Order};
use super::runner::{End, Runner};
use crate::finding;

impl Runner {
    /// Extends the graph until no thread can go on.
    pub(super) fn extend(&mut self) -> End {
        for thread in 0..self.fibers.len() as u32 {
            if let Some(end) = self.find_loop(thread) {
                return end;
            }
        }
        loop {
            if let Some(failure) = self.failure.take() {
                return End::Failed(failure);
            }
            let threads = 0..self.fibers.len() as u32;
            let turn = |thread: u32| Some((self.turn(thread)?, self.names.rank(thread), thread));
            let Some((_, _, thread)) = threads.filter_map(turn).min() else { break };
            if let Request::Fail(failure) = &self.fibers[thread as usize].request {
                return End::Failed(failure.clone());
            }
            if self.search.graph().size() >= self.most_events {
                return End::TooLong;
            }
            if !self.add(thread) {
                return End::Blocked;
            }
            self.execute(thread);
            if let Some(end) = self.find_loop(thread) {
                return end;
            }
        }
        if self.fibers.iter().all(|fiber| fiber.ended) {
            End::Execution
        } else if self.fibers.iter().any(|fiber| matches!(fiber.request, Request::Assume)) {
            End::Assumed
        } else if self.stale() {
            End::Blocked
        } else {
            End::Deadlock(self.waiting())
        }
    }

    /// Whose turn it is: the thread with the smallest number. None for threads that cannot go on.
    ///
    /// This must depend on the graph and on nothing else, or executions are lost or repeated.
    fn turn(&mut self, thread: u32) -> Option<u8> {
        const FAILS: u8 = 0;
        const GOES_ON: u8 = 1;
        const WOULD_GO_ON: u8 = 2;
        const MIGHT_GO_ON: u8 = 3;
        let fiber = &self.fibers[thread as usize];
        let (tag, action) = match &fiber.request {
            // The other threads go on: what they write may revisit what this thread has assumed to be otherwise.
            Request::None | Request::Assume => return None,
            Request::Fail(_) => return Some(FAILS),
            Request::Join(other) => return self.fibers[*other as usize].ended.then_some(GOES_ON),
            Request::Granted { location, behind } => {
                let (location, behind) = (*location, *behind);
                return self.unlock_after(location, behind).map(|_| GOES_ON);
            }
            Request::Read { tag, action, .. } if action.may_block() => (*tag, *action),
            Request::Read { .. } if self.may_wait(thread) => return Some(MIGHT_GO_ON),
            _ => return Some(GOES_ON),
        };
        // Threads that may have to wait go last, so that few of them read a value that does not let them go.
        // SAFETY: the request is open: see `Request`.
        let tag = unsafe { &*tag };
        let Some(location) = tag.location(self.run) else {
            return (!action.blocks(tag.initial())).then_some(WOULD_GO_ON);
        };
        let graph = self.search.graph();
        let read = graph.next(thread, Kind::Read, Order::RELAXED, location);
        let newest = graph.location(location).writes.len();
        let goes = |position: usize| !action.blocks(graph.written(location, graph.at(location, position)));
        if goes(newest) { Some(WOULD_GO_ON) } else { (graph.floor(&read)..newest).any(goes).then_some(MIGHT_GO_ON) }
    }

    /// The unlock that ends the critical section which the write `of` of a lock's queue opened.
    fn unlock_after(&mut self, location: u32, of: EventId) -> Option<EventId> {
        let events = &self.search.graph().thread(of.thread)[of.index as usize..];
        events.iter().find(|it| it.kind == Kind::Sync && it.value == unlock(location)).map(|it| it.id)
    }

    /// Adds what the thread asks for to the graph. Returns false if the run cannot go on.
    fn add(&mut self, thread: u32) -> bool {
        match self.fibers[thread as usize].request {
            Request::Read { tag, order, action } => {
                let location = self.locate(tag, None).expect("any location is expected");
                self.search.add_read(thread, location, order, action)
            }
            // The place in the queue is decided by a read-modify-write that orders nothing: happens-before comes with
            // `Granted`. An unlock is no write, so it revisits nothing.
            Request::Lock(tag) => {
                let location = self.locate(tag, None).expect("any location is expected");
                self.search.add_read(thread, location, Order::RELAXED, Action::Swap(1))
            }
            Request::Write { tag, order, value } => {
                let location = self.locate(tag, None).expect("any location is expected");
                self.search.add_write(thread, location, order, value)
            }
            Request::Choose { count } => self.search.add_choice(thread, count),
            Request::Fence(order) => {
                self.search.add(thread, Kind::Fence, order, 0, None);
                true
            }
            Request::Begin(spawn) => self.synchronise(thread, Some(spawn)),
            Request::Join(other) => {
                let end = EventId::new(other, self.search.graph().len(other) - 1);
                self.synchronise(thread, Some(end))
            }
            Request::Granted { location, behind } => {
                let unlock = self.unlock_after(location, behind);
                self.synchronise(thread, unlock)
            }
            Request::Unlock(tag) => {
                let location = self.locate(tag, None).expect("any location is expected");
                self.search.add(thread, Kind::Sync, Order::RELAXED, unlock(location), None);
                true
            }
            Request::Spawn(_) | Request::End => self.synchronise(thread, None),
            Request::Fail(_) | Request::Assume | Request::None => unreachable!("no event"),
        }
    }

    fn synchronise(&mut self, thread: u32, on: Option<EventId>) -> bool {
        self.search.add(thread, Kind::Sync, Order::RELAXED, 0, on);
        true
    }

    /// Whether a thread waits in the graph although the newest value would let it go, or might.
    fn stale(&mut self) -> bool {
        let graph = self.search.graph();
        let stale = |event: &Event| {
            if event.action.may_block() {
                return !event.action.blocks(graph.written(event.location, graph.newest(event.location)));
            }
            let tried = &graph.thread(event.id.thread)[event.since as usize..];
            tried.iter().any(|read| read.from != graph.newest(read.location))
        };
        graph.events().filter(|event| event.blocked).any(stale)
    }

    /// Which threads wait, and for what, at the end of a run.
    fn waiting(&mut self) -> String {
        let mut waits = Vec::new();
        for thread in 0..self.fibers.len() as u32 {
            let fiber = &self.fibers[thread as usize];
            let blocked = self.search.graph().thread(thread).last().is_some_and(|event| event.blocked);
            let what = match fiber.request {
                _ if fiber.ended => continue,
                Request::Join(other) => format!("the end of thread {other}"),
                Request::Granted { behind, .. } => format!("a lock that thread {} holds", behind.thread),
                Request::Read { .. } => "a value".to_owned(),
                _ if blocked => "a value".to_owned(),
                _ => "something".to_owned(),
            };
            let place = fiber.place.map_or_else(String::new, |place| format!(" ({})", finding::at(place)));
            waits.push(format!("thread {thread} waits for {what}{place}"));
        }
        waits.join(", ")
    }
}

/// What marks an unlock of the lock at `location`, among the events without a location.
fn unlock(location: u32) -> u64 {
    u64::from(location) + 1
}
