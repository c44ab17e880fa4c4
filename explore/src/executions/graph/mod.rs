//! Execution graphs: events with program order, reads-from and coherence, under RC11 in C++20's wording.
//!
//! A graph only grows at its end and shrinks from its end ([`Graph::undo`]), except where an earlier read is
//! revisited: [`Graph::restricted`] makes the graph for that.

mod clock;
mod consistency;
mod event;
mod revisit;

pub(crate) use clock::{Clock, Clocks};
pub(crate) use event::{Action, Due, Event, EventId, Kind, Order, Step, Test};

/// An atomic variable, or an object of the runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct Location {
    pub(crate) initial: u64,
    /// The writes in coherence order, without the initial one.
    pub(crate) writes: Vec<EventId>,
    /// The reads, by thread and program order.
    pub(crate) reads: Vec<EventId>,
}

#[derive(Debug, Clone)]
pub(crate) struct Graph {
    threads: Vec<Vec<Event>>,
    locations: Vec<Location>,
    /// The events by stamp, with the number of rows that the clocks had before each.
    added: Vec<(EventId, usize)>,
    clocks: Clocks,
    next_stamp: u32,
    /// The sequentially consistent events, and those of them that are fences.
    sc: usize,
    sc_fences: usize,
}

impl Graph {
    pub(crate) fn new() -> Self {
        Self {
            threads: Vec::new(),
            locations: Vec::new(),
            added: Vec::new(),
            clocks: Clocks::new(4),
            next_stamp: 0,
            sc: 0,
            sc_fences: 0,
        }
    }

    pub(crate) fn event(&self, id: EventId) -> &Event {
        &self.threads[id.thread as usize][id.index as usize]
    }

    /// How many events the thread has.
    pub(crate) fn len(&self, thread: u32) -> u32 {
        self.threads.get(thread as usize).map_or(0, |events| events.len() as u32)
    }

    pub(crate) fn thread(&self, thread: u32) -> &[Event] {
        self.threads.get(thread as usize).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.threads.iter().flatten()
    }

    /// How many events there are.
    pub(crate) fn size(&self) -> usize {
        self.added.len()
    }

    pub(crate) fn location(&self, location: u32) -> &Location {
        &self.locations[location as usize]
    }

    pub(crate) fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// A location that no event has yet.
    pub(crate) fn add_location(&mut self, initial: u64) -> u32 {
        self.locations.push(Location { initial, ..Location::default() });
        self.locations.len() as u32 - 1
    }

    /// Says what the location holds at first in the run that is in progress.
    pub(crate) fn set_initial(&mut self, location: u32, initial: u64) {
        self.locations[location as usize].initial = initial;
    }

    /// Says what the event reads, writes or decides in the run that is in progress.
    pub(crate) fn set_value(&mut self, id: EventId, value: u64) {
        self.threads[id.thread as usize][id.index as usize].value = value;
    }

    /// The value of a write to `location`.
    pub(crate) fn written(&self, location: u32, write: EventId) -> u64 {
        if write.is_initial() { self.location(location).initial } else { self.event(write).value }
    }

    /// The position of a write in coherence order. The initial write has 0.
    pub(crate) fn position(&self, location: u32, write: EventId) -> usize {
        if write.is_initial() {
            return 0;
        }
        let writes = &self.location(location).writes;
        1 + writes.iter().rposition(|it| *it == write).expect("each write has a place in coherence order")
    }

    /// The write at a position of coherence order.
    pub(crate) fn at(&self, location: u32, position: usize) -> EventId {
        position.checked_sub(1).map_or(EventId::INITIAL, |index| self.location(location).writes[index])
    }

    pub(crate) fn newest(&self, location: u32) -> EventId {
        self.location(location).writes.last().copied().unwrap_or(EventId::INITIAL)
    }

    pub(crate) fn happens_before(&self, a: &Event, b: &Event) -> bool {
        a.id != b.id && self.clocks.has(b.before, a.id)
    }

    /// Whether `event` leads to `of` by program order and reads-from, or is `of`.
    pub(crate) fn leads_to(&self, event: EventId, of: &Event) -> bool {
        self.clocks.has(of.prefix, event)
    }

    /// How many events of `thread` happen before whatever follows the first `after` events of `me`.
    pub(crate) fn known(&self, me: u32, after: u32, thread: u32) -> u32 {
        match after.checked_sub(1) {
            Some(last) => self.clocks.count(self.event(EventId::new(me, last)).before, thread),
            None => 0,
        }
    }

    /// A new event at the end of a thread, with the clocks that it has before it reads.
    pub(crate) fn next(&mut self, thread: u32, kind: Kind, order: Order, location: u32) -> Event {
        self.clocks.widen(thread as usize + 1);
        let index = self.len(thread);
        let previous = index.checked_sub(1).map(|last| *self.event(EventId::new(thread, last)));
        let clock = |of: fn(&Event) -> Clock| previous.as_ref().map_or(Clock::EMPTY, of);
        let mut event = Event {
            id: EventId::new(thread, index),
            kind,
            order,
            exclusive: false,
            blocked: false,
            newest: false,
            since: index,
            location,
            stamp: self.next_stamp,
            value: 0,
            from: EventId::INITIAL,
            branch: 0,
            action: Action::Load,
            before: clock(|it| it.before).advanced(thread, index + 1),
            prefix: clock(|it| it.prefix).advanced(thread, index + 1),
            released: Clock::EMPTY,
            unfenced: clock(|it| it.unfenced),
            fenced: clock(|it| it.fenced),
        };
        match kind {
            Kind::Fence => {
                if order.acquires {
                    event.before = self.clocks.join(event.before, event.unfenced);
                }
                if order.releases {
                    event.fenced = event.before;
                }
            }
            Kind::Write => event.released = if order.releases { event.before } else { event.fenced },
            Kind::Read | Kind::Sync | Kind::Choice => {}
        }
        event
    }

    /// Lets a read that is not in the graph yet read from `write`.
    pub(crate) fn read_from(&mut self, read: &mut Event, write: EventId) {
        read.from = write;
        read.newest = write == self.newest(read.location);
        read.value = self.written(read.location, write);
        read.blocked = read.action.blocks(read.value);
        read.order = read.action.order(read.order, read.value);
        if write.is_initial() {
            return;
        }
        let write = *self.event(write);
        read.prefix = self.clocks.join(read.prefix, write.prefix);
        if read.order.acquires {
            read.before = self.clocks.join(read.before, write.released);
        } else {
            read.unfenced = self.clocks.join(read.unfenced, write.released);
        }
    }

    /// Marks a read, the last event of its thread, as blocked. `since` is where the try begins. Returns false if
    /// another execution has what this one would show.
    pub(crate) fn block(&mut self, read: EventId, since: u32) -> bool {
        let read = &mut self.threads[read.thread as usize][read.index as usize];
        (read.blocked, read.since) = (true, since);
        read.newest
    }

    /// Lets a `Sync` that is not in the graph yet wait for `on`.
    pub(crate) fn wait_for(&mut self, sync: &mut Event, on: EventId) {
        sync.from = on;
        let on = *self.event(on);
        sync.before = self.clocks.join(sync.before, on.before);
        sync.prefix = self.clocks.join(sync.prefix, on.prefix);
    }

    /// Makes the write of a read-modify-write go on with the release sequence of the write that was read.
    pub(crate) fn continue_release(&mut self, write: &mut Event, source: EventId) {
        if !source.is_initial() {
            let released = self.event(source).released;
            write.released = self.clocks.join(write.released, released);
        }
    }

    /// Adds an event that is not a write.
    pub(crate) fn push(&mut self, event: Event, rows: usize) {
        if event.kind == Kind::Read {
            let reads = &mut self.locations[event.location as usize].reads;
            let at = reads.partition_point(|read| *read < event.id);
            reads.insert(at, event.id);
        }
        self.append(event, rows);
    }

    /// Adds a write behind the one at `position` of coherence order.
    pub(crate) fn push_write(&mut self, event: Event, position: usize, rows: usize) {
        self.locations[event.location as usize].writes.insert(position, event.id);
        self.append(event, rows);
    }

    fn append(&mut self, event: Event, rows: usize) {
        let thread = event.id.thread as usize;
        if self.threads.len() <= thread {
            self.threads.resize_with(thread + 1, Vec::new);
        }
        debug_assert_eq!(self.threads[thread].len(), event.id.index as usize, "events are added at a thread's end");
        self.sc += usize::from(event.order.sc);
        self.sc_fences += usize::from(event.order.sc && event.kind == Kind::Fence);
        self.next_stamp = self.next_stamp.max(event.stamp + 1);
        self.threads[thread].push(event);
        self.added.push((event.id, rows));
    }

    /// The rows of clocks that there are. To be called before an event is made, for [`Graph::push`].
    pub(crate) fn rows(&self) -> usize {
        self.clocks.rows()
    }

    /// Takes out the events that were added after the first `size`, newest first, and then the locations after the
    /// first `locations`.
    pub(crate) fn undo(&mut self, size: usize, locations: usize) {
        let mut rows = None;
        while self.added.len() > size {
            let (id, before) = self.added.pop().expect("the loop's condition");
            rows = Some(before);
            let event = self.threads[id.thread as usize].pop().expect("it was added");
            debug_assert_eq!(event.id, id, "the newest event is its thread's last");
            self.sc -= usize::from(event.order.sc);
            self.sc_fences -= usize::from(event.order.sc && event.kind == Kind::Fence);
            self.next_stamp = event.stamp;
            let list = match event.kind {
                Kind::Read => &mut self.locations[event.location as usize].reads,
                Kind::Write => &mut self.locations[event.location as usize].writes,
                Kind::Fence | Kind::Sync | Kind::Choice => continue,
            };
            let at = list.iter().rposition(|it| *it == id).expect("it is in its location's list");
            list.remove(at);
        }
        if let Some(rows) = rows {
            self.clocks.truncate(rows);
        }
        self.locations.truncate(locations);
    }
}
