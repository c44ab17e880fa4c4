//! Data races of memory that is not atomic.
//!
//! Accesses are no events of the graph: in a program without races they read what happens-before says. A program with a
//! race has a consistent execution in which the race happens between accesses up to which there was none, and the
//! search visits an extension of that.

use super::runner::Runner;
use std::panic::Location;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The accesses of a piece of memory in the run in progress: the last write, and the last read of each thread since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shadow {
    run: u64,
    write: Option<Point>,
    reads: Vec<Point>,
}

/// Between two events of a thread.
#[derive(Debug, Clone, Copy)]
struct Point {
    thread: u32,
    /// How many events the thread had executed.
    after: u32,
    place: &'static Location<'static>,
}

/// Two accesses, at least one of them a write, of which neither happens before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Race {
    pub(crate) thread: u32,
    pub(crate) earlier: Access,
    pub(crate) place: &'static Location<'static>,
}

impl Shadow {
    pub(crate) const fn new() -> Self {
        Self { run: 0, write: None, reads: Vec::new() }
    }

    /// Notes an access of the running thread. Returns the earlier access with which it races.
    pub(crate) fn access(
        &mut self,
        runner: &mut Runner,
        access: Access,
        place: &'static Location<'static>,
    ) -> Option<Race> {
        if self.run != runner.run_number() {
            *self = Self { run: runner.run_number(), ..Self::new() };
        }
        let me = Point { thread: runner.current(), after: runner.executed(), place };
        // What a thread does after `n` events happens before whatever knows its event number `n`.
        let mut races = |point: &Point| point.thread != me.thread && runner.known(point.thread) <= point.after;
        let mut found = self.write.filter(|it| races(it)).map(|it| it.race(Access::Write));
        match access {
            Access::Read => {
                self.reads.retain(|read| read.thread != me.thread);
                self.reads.push(me);
            }
            Access::Write => {
                let read = self.reads.iter().find(|read| races(read));
                found = found.or(read.map(|it| it.race(Access::Read)));
                self.reads.clear();
                self.write = Some(me);
            }
        }
        found
    }
}

impl Point {
    fn race(self, earlier: Access) -> Race {
        Race { thread: self.thread, earlier, place: self.place }
    }
}
