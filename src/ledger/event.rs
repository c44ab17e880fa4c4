//! Events: what happened in a run. An event is written without a lock and without an allocation.
//!
//! An event is two machine words in a fixed log (`ledger::log`); [`Event`] is the readable form. Its place in the log
//! is its time. A thread takes a place with one relaxed `fetch_add` when it reports. Events are therefore in the order
//! in which they were reported. Reporting makes no thread wait for another, and it publishes nothing.

use crate::program::{CallbackId, GateId, Section, StepId};

/// A thread of a run. Reports call it `main`, `t1`…, or `lib1`….
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadNo(pub u8);

impl ThreadNo {
    /// The thread that runs `before` and `after`.
    pub const MAIN: ThreadNo = ThreadNo(0);
    /// The smallest number of a thread that the harness did not start.
    pub(crate) const FIRST_FOREIGN: u8 = 100;

    /// The name in reports.
    pub fn name(self) -> String {
        match self.0 {
            0 => "main".to_owned(),
            n if n < Self::FIRST_FOREIGN => format!("t{n}"),
            n => format!("lib{}", n - Self::FIRST_FOREIGN + 1),
        }
    }
}

/// What an op answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Done, without a value.
    Done,
    /// What the callback returned, or 0 if no callback was called. For `enumerate`: the number of calls.
    Value(i64),
    /// Revoked, and no call was in flight.
    Removed,
    /// Revoked, and this many calls were in flight.
    InFlight(u32),
    /// The callback had been revoked before.
    AlreadyRevoked,
    /// Revoked, and no call is in flight any more.
    Quiescent,
    /// Revoked, and this thread is still inside the callback.
    Deferred,
    /// Not done: the library or the registry refused.
    Refused,
    /// Not done: the callback was not registered yet, or the session was closed.
    Skipped,
}

/// Why a binding turned away a call that was not late, without running user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turned {
    /// Another call of an `exclusive` callback was running.
    Busy,
    /// The callback is `confined` to another thread.
    WrongThread,
}

/// What a library tells a callback when it calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Call {
    /// The firing that asked for the call, as [`Session::fire`](crate::subject::Session::fire) received it. 0: no
    /// firing asked for the call, or the library carries no cookies.
    pub cookie: u32,
    /// First argument.
    pub a: i64,
    /// Second argument.
    pub b: i64,
    /// The library itself reports that it passed the user data of another subscription. A call that runs the wrong
    /// callback is then the library's fault and not the binding's.
    pub misdirected: bool,
}

impl Call {
    /// A call for the firing `cookie` with the arguments `a` and `b`, not misdirected.
    pub const fn new(cookie: u32, a: i64, b: i64) -> Self {
        Call { cookie, a, b, misdirected: false }
    }
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The thread that reported the event.
    pub thread: ThreadNo,
    /// What the thread reported.
    pub kind: EventKind,
}

impl Event {
    /// The event that `thread` reports.
    pub const fn new(thread: ThreadNo, kind: EventKind) -> Self {
        Event { thread, kind }
    }
}

/// What an event reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// An op begins.
    OpBegin {
        /// The op's step.
        step: StepId,
        /// Names the firing, for ops that ask for calls. 0 for other ops.
        cookie: u32,
    },
    /// The innermost op that this thread has begun ends.
    OpEnd {
        /// The op's answer.
        answer: Answer,
    },
    /// The library has accepted a callback.
    Registered {
        /// The callback.
        callback: CallbackId,
    },
    /// The library or the registry has refused a callback.
    Refused {
        /// The callback.
        callback: CallbackId,
    },
    /// User code of a callback starts.
    Enter {
        /// The callback. An identifier that the program does not have stands for a callback that `churn` made.
        callback: CallbackId,
        /// The firing that asked for the call. 0: no firing did, or the binding carries no cookies.
        cookie: u32,
        /// The library itself reports that it passed the user data of another subscription.
        misdirected: bool,
    },
    /// User code of a callback returns.
    Leave {
        /// The callback.
        callback: CallbackId,
        /// What the call returns.
        value: i64,
    },
    /// User code of a callback unwinds.
    Unwind {
        /// The callback.
        callback: CallbackId,
    },
    /// A callback's closure is dropped.
    Dropped {
        /// The callback.
        callback: CallbackId,
    },
    /// A call came late and was defused: the binding ran no user code.
    Late {
        /// The firing that asked for the call; 0: no firing did.
        cookie: u32,
    },
    /// A call was turned away for another reason than being late.
    TurnedAway {
        /// The callback.
        callback: CallbackId,
        /// The firing that asked for the call; 0: no firing did.
        cookie: u32,
        /// The reason.
        why: Turned,
    },
    /// A panic of a callback came out of the library.
    UnwindEscaped,
    /// A block that a binding keeps beside a callback ([`super::Probe`]) is freed.
    BlockFreed {
        /// The callback.
        callback: CallbackId,
    },
    /// A block that a binding keeps beside a callback is used.
    BlockUsed {
        /// The callback.
        callback: CallbackId,
    },
    /// A thread is held at a gate.
    Held {
        /// The gate.
        gate: GateId,
    },
    /// A thread that was held at a gate goes on.
    LetGo {
        /// The gate.
        gate: GateId,
        /// The gate was not opened, and no other thread of the program could move: the order that the program asks for
        /// is impossible on this subject.
        gave_up: bool,
    },
    /// The program has ended, and the session begins to close.
    Closing,
    /// The session is closed: no callback is registered, and the library is shut down.
    Closed,
}

// The packed form: word 0 is kind | flags << 8 | thread << 16 | small << 24 | cookie << 32; word 1 is the payload.

impl Event {
    pub(crate) fn pack(self) -> [u64; 2] {
        let word = |kind: u8, flags: u8, small: u8, cookie: u32, payload: u64| {
            let head = u64::from(kind)
                | u64::from(flags) << 8
                | u64::from(self.thread.0) << 16
                | u64::from(small) << 24
                | u64::from(cookie) << 32;
            [head, payload]
        };
        match self.kind {
            EventKind::OpBegin { step, cookie } => {
                let (section, number) = match step.section {
                    Section::Before => (0, 0),
                    Section::Thread(n) => (1, n),
                    Section::After => (2, 0),
                    Section::Body(callback) => (3, callback.0),
                };
                word(1, section, number, cookie, u64::from(step.index))
            }
            EventKind::OpEnd { answer } => {
                let (tag, value) = match answer {
                    Answer::Done => (0, 0),
                    Answer::Value(v) => (1, v),
                    Answer::Removed => (2, 0),
                    Answer::InFlight(n) => (3, i64::from(n)),
                    Answer::AlreadyRevoked => (4, 0),
                    Answer::Quiescent => (5, 0),
                    Answer::Deferred => (6, 0),
                    Answer::Refused => (7, 0),
                    Answer::Skipped => (8, 0),
                };
                word(2, tag, 0, 0, value as u64)
            }
            EventKind::Registered { callback } => word(3, 0, callback.0, 0, 0),
            EventKind::Refused { callback } => word(4, 0, callback.0, 0, 0),
            EventKind::Enter { callback, cookie, misdirected } => word(5, u8::from(misdirected), callback.0, cookie, 0),
            EventKind::Leave { callback, value } => word(6, 0, callback.0, 0, value as u64),
            EventKind::Unwind { callback } => word(7, 0, callback.0, 0, 0),
            EventKind::Dropped { callback } => word(8, 0, callback.0, 0, 0),
            EventKind::Late { cookie } => word(9, 0, 0, cookie, 0),
            EventKind::TurnedAway { callback, cookie, why } => {
                word(10, u8::from(why == Turned::WrongThread), callback.0, cookie, 0)
            }
            EventKind::UnwindEscaped => word(11, 0, 0, 0, 0),
            EventKind::BlockFreed { callback } => word(12, 0, callback.0, 0, 0),
            EventKind::BlockUsed { callback } => word(13, 0, callback.0, 0, 0),
            EventKind::Held { gate } => word(14, 0, gate.0, 0, 0),
            EventKind::LetGo { gate, gave_up } => word(15, u8::from(gave_up), gate.0, 0, 0),
            EventKind::Closed => word(16, 0, 0, 0, 0),
            EventKind::Closing => word(17, 0, 0, 0, 0),
        }
    }

    /// `None` for words that [`Event::pack`] did not make: those of a place that was taken and is not filled yet.
    pub(crate) fn unpack([head, payload]: [u64; 2]) -> Option<Self> {
        let flags = (head >> 8) as u8;
        let small = (head >> 24) as u8;
        let cookie = (head >> 32) as u32;
        let callback = CallbackId(small);
        let kind = match head as u8 {
            1 => {
                let section = match flags {
                    0 => Section::Before,
                    1 => Section::Thread(small),
                    2 => Section::After,
                    _ => Section::Body(callback),
                };
                EventKind::OpBegin { step: StepId { section, index: payload as u16 }, cookie }
            }
            2 => EventKind::OpEnd {
                answer: match flags {
                    0 => Answer::Done,
                    1 => Answer::Value(payload as i64),
                    2 => Answer::Removed,
                    3 => Answer::InFlight(payload as u32),
                    4 => Answer::AlreadyRevoked,
                    5 => Answer::Quiescent,
                    6 => Answer::Deferred,
                    7 => Answer::Refused,
                    _ => Answer::Skipped,
                },
            },
            3 => EventKind::Registered { callback },
            4 => EventKind::Refused { callback },
            5 => EventKind::Enter { callback, cookie, misdirected: flags != 0 },
            6 => EventKind::Leave { callback, value: payload as i64 },
            7 => EventKind::Unwind { callback },
            8 => EventKind::Dropped { callback },
            9 => EventKind::Late { cookie },
            10 => {
                let why = if flags != 0 { Turned::WrongThread } else { Turned::Busy };
                EventKind::TurnedAway { callback, cookie, why }
            }
            11 => EventKind::UnwindEscaped,
            12 => EventKind::BlockFreed { callback },
            13 => EventKind::BlockUsed { callback },
            14 => EventKind::Held { gate: GateId(small) },
            15 => EventKind::LetGo { gate: GateId(small), gave_up: flags != 0 },
            16 => EventKind::Closed,
            17 => EventKind::Closing,
            _ => return None,
        };
        Some(Event { thread: ThreadNo((head >> 16) as u8), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_packing() {
        let callback = CallbackId(63);
        let step = |section| StepId { section, index: 999 };
        let answers = [
            Answer::Done,
            Answer::Value(i64::MIN),
            Answer::Removed,
            Answer::InFlight(u32::MAX),
            Answer::AlreadyRevoked,
            Answer::Quiescent,
            Answer::Deferred,
            Answer::Refused,
            Answer::Skipped,
        ];
        let mut kinds: Vec<EventKind> = answers.map(|answer| EventKind::OpEnd { answer }).into();
        for section in [Section::Before, Section::Thread(7), Section::After, Section::Body(callback)] {
            kinds.push(EventKind::OpBegin { step: step(section), cookie: u32::MAX });
        }
        kinds.extend([
            EventKind::Registered { callback },
            EventKind::Refused { callback },
            EventKind::Enter { callback, cookie: 7, misdirected: true },
            EventKind::Enter { callback, cookie: 7, misdirected: false },
            EventKind::Leave { callback, value: -1 },
            EventKind::Unwind { callback },
            EventKind::Dropped { callback },
            EventKind::Late { cookie: 9 },
            EventKind::TurnedAway { callback, cookie: 1, why: Turned::Busy },
            EventKind::TurnedAway { callback, cookie: 1, why: Turned::WrongThread },
            EventKind::UnwindEscaped,
            EventKind::BlockFreed { callback },
            EventKind::BlockUsed { callback },
            EventKind::Held { gate: GateId(31) },
            EventKind::LetGo { gate: GateId(31), gave_up: true },
            EventKind::Closing,
            EventKind::Closed,
        ]);
        for kind in kinds {
            let event = Event { thread: ThreadNo(199), kind };
            assert_eq!(Event::unpack(event.pack()), Some(event));
        }
        assert_eq!(Event::unpack([0, 0]), None, "a place that is not filled is no event");
    }
}
