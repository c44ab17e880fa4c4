//! The search: every consistent graph that the program can make, each visited once.
//!
//! The search adds one event to a graph in all possible ways. It goes on with the first way at once, in the run that is
//! in progress, and notes the others as a [`Choice`]. When the run is over, [`Search::backtrack`] takes the newest way
//! that is left, and the program is run again along that graph.
//!
//! What is in memory: a graph for each revisit that led to the current one, and the ways that are left in each.

use super::graph::{Action, Event, EventId, Graph, Kind, Order};

/// Graphs from the whole search, at `frames[0]`, to the one of the latest revisit.
#[derive(Debug)]
pub(crate) struct Search {
    frames: Vec<Frame>,
    /// Frames whose memory can be used again.
    spare: Vec<Frame>,
    pub(crate) revisits: u64,
}

#[derive(Debug)]
struct Frame {
    graph: Graph,
    choices: Vec<Choice>,
}

/// The ways that are left to go on from the first `size` events of a frame's graph.
#[derive(Debug)]
struct Choice {
    size: usize,
    locations: usize,
    addition: Addition,
    /// The next is the last.
    ways: Vec<Way>,
}

/// What a choice adds.
#[derive(Debug, Clone)]
enum Addition {
    Read {
        thread: u32,
        location: u32,
        order: Order,
        action: Action,
    },
    Write {
        thread: u32,
        location: u32,
        order: Order,
        value: u64,
    },
    /// The write of the read-modify-write whose read is the last event of the thread.
    Exclusive {
        thread: u32,
    },
    Choice {
        thread: u32,
    },
    /// The write in place of what is newer than `read`, which reads from it. The graph is the restricted one, without
    /// both.
    Revisit {
        graph: Box<Graph>,
        read: Event,
        write: Box<Addition>,
    },
}

#[derive(Debug, Clone, Copy)]
enum Way {
    /// Read from this write, and go on in this branch.
    From {
        write: EventId,
        branch: u16,
    },
    /// Stand behind this position of coherence order.
    Behind {
        position: usize,
    },
    /// Let this read read from the new write. Opens a frame, whose ways are `Again`.
    Revisit {
        read: EventId,
    },
    /// Stand behind this position, and let the read go on in this branch.
    Again {
        position: usize,
        branch: u16,
    },
    Decide {
        value: u64,
    },
}

impl Frame {
    fn new() -> Self {
        Self { graph: Graph::new(), choices: Vec::new() }
    }
}

impl Search {
    pub(crate) fn new() -> Self {
        Self { frames: vec![Frame::new()], spare: Vec::new(), revisits: 0 }
    }

    /// Whether there was no run yet.
    pub(crate) fn is_new(&self) -> bool {
        self.frames.len() == 1 && self.frames[0].choices.is_empty() && self.frames[0].graph.size() == 0
    }

    /// The graph that the run in progress follows, and extends.
    pub(crate) fn graph(&mut self) -> &mut Graph {
        &mut self.frames.last_mut().expect("a run is in progress").graph
    }

    /// Adds an event that needs no decision.
    pub(crate) fn add(&mut self, thread: u32, kind: Kind, order: Order, value: u64, on: Option<EventId>) {
        let graph = self.graph();
        let rows = graph.rows();
        let mut event = graph.next(thread, kind, order, Event::NOWHERE);
        event.value = value;
        if let Some(on) = on {
            graph.wait_for(&mut event, on);
        }
        graph.push(event, rows);
    }

    /// Adds a read, with the write that follows if it is a read-modify-write. Returns false if the run cannot go on:
    /// other runs have all its executions.
    pub(crate) fn add_read(&mut self, thread: u32, location: u32, order: Order, action: Action) -> bool {
        let graph = self.graph();
        let read = graph.next(thread, Kind::Read, order, location);
        let newest = graph.location(location).writes.len();
        let mut ways = Vec::new();
        for position in graph.floor(&read)..=newest {
            let write = graph.at(location, position);
            let value = graph.written(location, write);
            if action.blocks(value) && !waits(position, newest) {
                continue;
            }
            ways.extend((0..action.branches(value)).rev().map(|branch| Way::From { write, branch }));
        }
        self.choose(Addition::Read { thread, location, order, action }, ways)
    }

    /// Adds a write. Returns as [`Self::add_read`].
    pub(crate) fn add_write(&mut self, thread: u32, location: u32, order: Order, value: u64) -> bool {
        self.choose_place(Addition::Write { thread, location, order, value })
    }

    /// Adds a decision between `0..count`. Returns false if there is nothing to decide between.
    pub(crate) fn add_choice(&mut self, thread: u32, count: u64) -> bool {
        let ways = (0..count).rev().map(|value| Way::Decide { value }).collect();
        self.choose(Addition::Choice { thread }, ways)
    }

    /// Makes the graph that is to be run next. Returns false if the search is over.
    pub(crate) fn backtrack(&mut self) -> bool {
        while let Some(frame) = self.frames.last_mut() {
            let Some(choice) = frame.choices.last_mut() else {
                self.spare.extend(self.frames.pop());
                continue;
            };
            let Some(way) = choice.ways.pop() else {
                if let Some(Choice { addition: Addition::Revisit { graph, .. }, .. }) = frame.choices.pop() {
                    self.spare.push(Frame { graph: *graph, choices: Vec::new() });
                }
                continue;
            };
            // A revisit makes its graph itself.
            if !matches!(way, Way::Again { .. }) {
                frame.graph.undo(choice.size, choice.locations);
            }
            if self.take(way) {
                return true;
            }
        }
        false
    }

    fn choose(&mut self, addition: Addition, ways: Vec<Way>) -> bool {
        let graph = self.graph();
        let (size, locations) = (graph.size(), graph.locations().len());
        let frame = self.frames.last_mut().expect("a run is in progress");
        frame.choices.push(Choice { size, locations, addition, ways });
        let depth = frame.choices.len();
        loop {
            let frame = self.frames.last_mut().expect("a run is in progress");
            if frame.choices.len() > depth {
                // A write that cannot stand where it has to. Its revisits are left for later.
                return false;
            }
            let ways = &mut frame.choices[depth - 1].ways;
            match ways.last().copied() {
                None => {
                    frame.choices.pop();
                    return false;
                }
                // The run in progress cannot follow a revisit.
                Some(Way::Revisit { .. }) => return false,
                Some(way) => {
                    ways.pop();
                    frame.graph.undo(size, locations);
                    if self.take(way) {
                        return true;
                    }
                }
            }
        }
    }

    /// Adds a write in all places, after the revisits that it makes possible.
    fn choose_place(&mut self, addition: Addition) -> bool {
        let graph = self.graph();
        let (write, source) = make_write(graph, &addition);
        let revisits = graph.unrelated_reads(&write).filter(|read| graph.is_maximal(graph.event(*read), &write));
        let mut ways: Vec<Way> = revisits.map(|read| Way::Revisit { read }).collect();
        let places = places(graph, &write, source).filter(|position| !graph.splits(write.location, *position));
        ways.extend(places.map(|position| Way::Behind { position }));
        self.choose(addition, ways)
    }

    /// Extends the graph, which ends where the newest choice begins, in one way. Returns false if that is inconsistent
    /// or needs a further choice; backtracking goes on then.
    fn take(&mut self, way: Way) -> bool {
        let frame = self.frames.last_mut().expect("the frame of the choice");
        let graph = &mut frame.graph;
        let Choice { addition, ways, .. } = frame.choices.last_mut().expect("the choice of the way");
        let last = ways.is_empty();
        let rows = graph.rows();
        match (way, addition) {
            (Way::From { write, branch }, &mut Addition::Read { thread, location, order, action }) => {
                let mut read = graph.next(thread, Kind::Read, order, location);
                read.action = action;
                read.branch = branch;
                graph.read_from(&mut read, write);
                let newest = write == graph.newest(location);
                graph.push(read, rows);
                if graph.sc_at_risk(&read, newest) && !graph.sc_holds() {
                    return false;
                }
                self.complete(&read)
            }
            (Way::Behind { position }, addition) => {
                let (write, _) = make_write(graph, addition);
                let newest = position == graph.location(write.location).writes.len();
                graph.push_write(write, position, rows);
                !graph.sc_at_risk(&write, newest) || graph.sc_holds()
            }
            (Way::Decide { value }, &mut Addition::Choice { thread }) => {
                let mut event = graph.next(thread, Kind::Choice, Order::RELAXED, Event::NOWHERE);
                event.value = value;
                graph.push(event, rows);
                true
            }
            (Way::Revisit { read }, addition) => {
                let (write, _) = make_write(graph, addition);
                let read = *graph.event(read);
                let addition = addition.clone();
                self.open(&read, &write, addition);
                false
            }
            (Way::Again { position, branch }, Addition::Revisit { graph: restricted, read, write }) => {
                if last {
                    std::mem::swap(graph, restricted);
                } else {
                    graph.clone_from(restricted);
                }
                let rows = graph.rows();
                let (write, _) = make_write(graph, write);
                let newest = position == graph.location(write.location).writes.len();
                graph.push_write(write, position, rows);
                let mut again = again(graph, read);
                again.branch = branch;
                graph.read_from(&mut again, write.id);
                graph.push(again, rows);
                graph.sort_last();
                self.revisits += 1;
                let at_risk = graph.sc_at_risk(&write, newest) || graph.sc_at_risk(&again, newest);
                if at_risk && !graph.sc_holds() {
                    return false;
                }
                self.complete(&again)
            }
            (way, addition) => unreachable!("{way:?} is no way to add {addition:?}"),
        }
    }

    /// Opens the frame of a revisit, with its ways.
    fn open(&mut self, read: &Event, write: &Event, addition: Addition) {
        let mut graph = self.spare.pop().unwrap_or_else(Frame::new).graph;
        self.graph().restrict(read, write, &mut graph);
        let again = again(&mut graph, read);
        let floor = graph.floor(&again);
        let (write, source) = make_write(&mut graph, &addition);
        let newest = graph.location(write.location).writes.len();
        let mut ways = Vec::new();
        for position in places(&graph, &write, source) {
            let coherent = position >= floor && !graph.splits(write.location, position);
            if !coherent || (again.action.blocks(write.value) && !waits(position, newest)) {
                continue;
            }
            let branches = (0..again.action.branches(write.value)).rev();
            ways.extend(branches.map(|branch| Way::Again { position, branch }));
        }
        let addition = Addition::Revisit { graph: Box::new(graph), read: *read, write: Box::new(addition) };
        // The graph is made by the way that is taken.
        let choice = Choice { size: 0, locations: 0, addition, ways };
        let mut frame = self.spare.pop().unwrap_or_else(Frame::new);
        frame.choices.push(choice);
        self.frames.push(frame);
    }

    /// Adds the write of a read-modify-write whose read was just added.
    fn complete(&mut self, read: &Event) -> bool {
        if read.action.written(read.value, read.branch).is_none() {
            return true;
        }
        self.choose_place(Addition::Exclusive { thread: read.id.thread })
    }
}

/// Of all ways to wait, the one that saw the newest write stays in the graph: whatever ends the wait comes later.
fn waits(position: usize, newest: usize) -> bool {
    position == newest
}

/// The write that is to be added, and the write that its read-modify-write reads from.
fn make_write(graph: &mut Graph, addition: &Addition) -> (Event, Option<EventId>) {
    match *addition {
        Addition::Write { thread, location, order, value } => {
            let mut write = graph.next(thread, Kind::Write, order, location);
            write.value = value;
            (write, None)
        }
        Addition::Exclusive { thread } => {
            let read = *graph.thread(thread).last().expect("the read was added");
            let mut write = graph.next(thread, Kind::Write, read.order, read.location);
            write.value = read.action.written(read.value, read.branch).expect("a write follows");
            write.exclusive = true;
            graph.continue_release(&mut write, read.from);
            (write, Some(read.from))
        }
        ref other => unreachable!("{other:?} adds no write"),
    }
}

/// The read that is revisited, at the end of its thread again.
fn again(graph: &mut Graph, read: &Event) -> Event {
    let mut again = graph.next(read.id.thread, Kind::Read, read.order, read.location);
    again.stamp = read.stamp;
    again.action = read.action;
    again
}

/// The positions of coherence order behind which a write may stand, as far as coherence goes.
fn places(graph: &Graph, write: &Event, source: Option<EventId>) -> std::ops::RangeInclusive<usize> {
    match source {
        Some(source) => {
            let position = graph.position(write.location, source);
            position..=position
        }
        None => graph.floor(write)..=graph.location(write.location).writes.len(),
    }
}
