//! What a graph consists of.

use super::clock::Clock;
use std::fmt;
use std::sync::atomic::Ordering;

/// Names an event by its thread and its position in program order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventId {
    pub(crate) thread: u32,
    pub(crate) index: u32,
}

impl EventId {
    /// The initial write of any location. It belongs to no thread.
    pub(crate) const INITIAL: Self = Self { thread: u32::MAX, index: u32::MAX };

    pub(crate) const fn new(thread: u32, index: u32) -> Self {
        Self { thread, index }
    }

    pub(crate) fn is_initial(self) -> bool {
        self == Self::INITIAL
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_initial() { f.write_str("initial") } else { write!(f, "{}.{}", self.thread, self.index) }
    }
}

/// A memory order, as the properties that the memory model asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) acquires: bool,
    pub(crate) releases: bool,
    /// Sequentially consistent.
    pub(crate) sc: bool,
}

impl Order {
    pub(crate) const RELAXED: Self = Self { acquires: false, releases: false, sc: false };

    /// # Panics
    ///
    /// For an order that std has and this explorer does not know.
    pub(crate) fn of(order: Ordering) -> Self {
        let (acquires, releases, sc) = match order {
            Ordering::Relaxed => (false, false, false),
            Ordering::Acquire => (true, false, false),
            Ordering::Release => (false, true, false),
            Ordering::AcqRel => (true, true, false),
            Ordering::SeqCst => (true, true, true),
            other => panic!("the explorer does not know the memory order {other:?}"),
        };
        Self { acquires, releases, sc }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Fence,
    /// Waits for another event without a choice: a thread's begin, a join, a lock that is granted. Without such an
    /// event (`from` is initial): spawn, end, unlock.
    Sync,
    /// A decision that is not the memory's: `value` is what was decided.
    Choice,
}

/// A condition on a value, with an operand.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    pub(crate) holds: fn(value: u64, operand: u64) -> bool,
    pub(crate) operand: u64,
}

impl Test {
    pub(crate) fn on(self, value: u64) -> bool {
        (self.holds)(value, self.operand)
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a test against {}", self.operand)
    }
}

/// What one step of an object comes to. The state is the value that the step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The thread waits until the state is another one. Only the first branch may say this.
    Block,
    /// The new state. The step only reads if it is the old one.
    Go(u64),
    /// There is no such branch in this state.
    None,
}

/// The operation that a read is part of. It decides whether a write follows, and of what value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Load,
    /// Writes `(value + operand) & mask`.
    Add {
        operand: u64,
        mask: u64,
    },
    Swap(u64),
    And(u64),
    Or(u64),
    Xor(u64),
    /// Compare-exchange. `success` and `failure` are its orders.
    Compare {
        expected: u64,
        new: u64,
        success: Order,
        failure: Order,
    },
    /// Reads until the test holds.
    Await(Test),
    /// One step of an object. Branches are numbered from 0.
    Object {
        step: fn(state: u64, operand: u64, branch: u16) -> Step,
        operand: u64,
    },
}

impl Action {
    /// The value that is written after `value` was read; none if no write follows.
    pub(crate) fn written(&self, value: u64, branch: u16) -> Option<u64> {
        match *self {
            Action::Load | Action::Await(_) => None,
            Action::Add { operand, mask } => Some(value.wrapping_add(operand) & mask),
            Action::Swap(new) => Some(new),
            Action::And(operand) => Some(value & operand),
            Action::Or(operand) => Some(value | operand),
            Action::Xor(operand) => Some(value ^ operand),
            Action::Compare { expected, new, .. } => (value == expected).then_some(new),
            Action::Object { step, operand } => match step(value, operand, branch) {
                Step::Go(new) if new != value => Some(new),
                _ => None,
            },
        }
    }

    /// Whether a thread that reads `value` has to wait.
    pub(crate) fn blocks(&self, value: u64) -> bool {
        match *self {
            Action::Await(test) => !test.on(value),
            Action::Object { step, operand } => step(value, operand, 0) == Step::Block,
            _ => false,
        }
    }

    /// Whether the operation may have to wait, whatever it reads.
    pub(crate) fn may_block(&self) -> bool {
        matches!(self, Action::Await(_) | Action::Object { .. })
    }

    /// In how many ways the thread may go on from `value`: at least 1.
    pub(crate) fn branches(&self, value: u64) -> u16 {
        match *self {
            Action::Object { step, operand } => {
                (1..u16::MAX).find(|branch| step(value, operand, *branch) == Step::None).unwrap_or(u16::MAX)
            }
            _ => 1,
        }
    }

    /// The order of the read, which depends on the value only for a compare-exchange.
    pub(crate) fn order(&self, order: Order, value: u64) -> Order {
        match *self {
            Action::Compare { expected, success, failure, .. } => {
                if value == expected {
                    success
                } else {
                    failure
                }
            }
            _ => order,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) id: EventId,
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    /// The write of a read-modify-write. Its read is the event before it.
    pub(crate) exclusive: bool,
    /// A read whose thread waits for another value.
    pub(crate) blocked: bool,
    /// A read that read from the newest write of its location when it was added.
    pub(crate) newest: bool,
    /// A blocked read of a loop: the position in its thread where the try begins of which it is the last read.
    pub(crate) since: u32,
    /// The location; [`Event::NOWHERE`] for events without one.
    pub(crate) location: u32,
    /// When the event was added. A revisited read keeps its stamp.
    pub(crate) stamp: u32,
    /// What was read, written or decided.
    pub(crate) value: u64,
    /// The write that a read reads from; the event that a `Sync` waits for.
    pub(crate) from: EventId,
    pub(crate) branch: u16,
    pub(crate) action: Action,
    /// What happens before this event, and the event itself.
    pub(crate) before: Clock,
    /// Everything that leads to this event by program order and reads-from, and the event itself.
    pub(crate) prefix: Clock,
    /// A write: what a reader learns that acquires it.
    pub(crate) released: Clock,
    /// What a later acquire fence of the thread learns.
    pub(crate) unfenced: Clock,
    /// What the thread's later relaxed writes release.
    pub(crate) fenced: Clock,
}

/// What a run needs to know of an event to execute it. Small, as each event is executed in many runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) id: EventId,
    pub(crate) kind: Kind,
    pub(crate) blocked: bool,
    pub(crate) branch: u16,
    pub(crate) location: u32,
    pub(crate) value: u64,
    pub(crate) from: EventId,
}

impl Event {
    pub(crate) fn due(&self) -> Due {
        let Self { id, kind, blocked, branch, location, value, from, .. } = *self;
        Due { id, kind, blocked, branch, location, value, from }
    }

    pub(crate) const NOWHERE: u32 = u32::MAX;
}
