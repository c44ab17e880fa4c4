//! The data of a program: ops, steps, expectations, and the names that the text form uses for them.
//!
//! Every name here is the one that reports, the command line and the C header use. Not here: what an op *does*
//! (`engine::run`), and how it is written (`text`).

use std::fmt;

/// A callback of a program: an index into [`Program::callbacks`](super::Program::callbacks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallbackId(pub u8);

/// A gate of a program: an index into [`Program::gates`](super::Program::gates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateId(pub u8);

/// One line: an op, what it must answer, and in which call of its callback it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub op: Op,
    /// What it must answer (`= …`); anything else is the violation `Unexpected`.
    pub expect: Option<Expect>,
    /// Only in the Nth call of the callback whose body this stands in, 1 is the first (`nth N …`).
    pub nth: Option<u32>,
}

impl From<Op> for Step {
    fn from(op: Op) -> Self {
        Step { op, expect: None, nth: None }
    }
}

/// The two arguments of a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Args {
    /// First argument; in an enumeration the item's number.
    pub a: i64,
    /// Second argument; in an enumeration `lparam`.
    pub b: i64,
}

/// What an owner, a library or a test does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// `register A…`: hands the callbacks to the library, which retains them; several at once are one table.
    Register(Vec<CallbackId>),
    /// `invoke A [n m]`: call-scoped use: the library calls once, on this thread, and keeps nothing.
    Invoke(CallbackId, Option<Args>),
    /// `enumerate A N`: call-scoped use: the library calls for items 0 to N-1 until the callback returns 0. Answers how
    /// many calls were made.
    Enumerate(CallbackId, u32),
    /// `fire A [n m]`: the library calls it now, on this thread. Answers what the callback returned.
    Fire(CallbackId, Option<Args>),
    /// `send A [n m]`: the library calls it on a thread of its own; the op waits for the answer.
    Send(CallbackId, Option<Args>),
    /// `post A [n m]`: the library queues a delivery for a thread of its own; the op returns at once.
    Post(CallbackId, Option<Args>),
    /// `revoke A`: no new call starts; does not wait.
    Revoke(CallbackId),
    /// `revoke_and_wait A`: no new call starts; returns once quiescent, frames of this thread excepted.
    RevokeAndWait(CallbackId),
    /// `release A`: the Rust side lets go (revokes, waits and frees) and the library is *not* told.
    Release(CallbackId),
    /// `unsubscribe A`: the library is told, and the Rust side keeps the callback.
    Unsubscribe(CallbackId),
    /// `forget A`: the guard is leaked (`mem::forget`): nobody will ever revoke.
    Forget(CallbackId),
    /// `replace A B`: the library swaps A for B in place, as one unit; then A is revoked, without waiting.
    Replace(CallbackId, CallbackId),
    /// `churn N`: N callbacks are registered and revoked, one after the other; none is ever fired.
    Churn(u32),
    /// `barrier`: returns once everything posted before has been delivered or dropped.
    Barrier,
    /// `shutdown`: everything still registered is revoked, then the library is closed.
    Shutdown,
    /// `hold G`: this thread stays here until gate G is opened, or until nothing else in the program can move.
    Hold(GateId),
    /// `open G`: lets go whoever is held, or will be held, at G.
    Open(GateId),
    /// `reach G`: waits until a thread is held at G, or until nothing else in the program can move.
    Reach(GateId),
    /// `stall SITE G`: the first thread that passes SITE from now on is held at G.
    Stall(Site, GateId),
    /// `panic` (bodies only): the callback panics.
    Panic,
    /// `return V` (bodies only): the callback returns V instead of what its kind says.
    Return(i64),
}

impl Op {
    /// The verb it starts with.
    pub fn verb(&self) -> Verb {
        match self {
            Op::Register(_) => Verb::Register,
            Op::Invoke(..) => Verb::Invoke,
            Op::Enumerate(..) => Verb::Enumerate,
            Op::Fire(..) => Verb::Fire,
            Op::Send(..) => Verb::Send,
            Op::Post(..) => Verb::Post,
            Op::Revoke(_) => Verb::Revoke,
            Op::RevokeAndWait(_) => Verb::RevokeAndWait,
            Op::Release(_) => Verb::Release,
            Op::Unsubscribe(_) => Verb::Unsubscribe,
            Op::Forget(_) => Verb::Forget,
            Op::Replace(..) => Verb::Replace,
            Op::Churn(_) => Verb::Churn,
            Op::Barrier => Verb::Barrier,
            Op::Shutdown => Verb::Shutdown,
            Op::Hold(_) => Verb::Hold,
            Op::Open(_) => Verb::Open,
            Op::Reach(_) => Verb::Reach,
            Op::Stall(..) => Verb::Stall,
            Op::Panic => Verb::Panic,
            Op::Return(_) => Verb::Return,
        }
    }

    /// Whether it only forces an order.
    pub(crate) fn is_about_gates(&self) -> bool {
        matches!(self, Op::Hold(_) | Op::Open(_) | Op::Reach(_) | Op::Stall(..))
    }

    /// The callbacks it names, in the order it names them.
    pub fn callbacks(&self) -> Vec<CallbackId> {
        match self {
            Op::Register(ids) => ids.clone(),
            Op::Invoke(a, _) | Op::Enumerate(a, _) | Op::Fire(a, _) | Op::Send(a, _) | Op::Post(a, _) => vec![*a],
            Op::Revoke(a) | Op::RevokeAndWait(a) | Op::Release(a) | Op::Unsubscribe(a) | Op::Forget(a) => vec![*a],
            Op::Replace(a, b) => vec![*a, *b],
            _ => Vec::new(),
        }
    }

    /// The callbacks that it registers: each may be registered once in a program.
    pub fn registers(&self) -> Vec<CallbackId> {
        match self {
            Op::Register(ids) => ids.clone(),
            Op::Invoke(a, _) | Op::Enumerate(a, _) => vec![*a],
            Op::Replace(_, b) => vec![*b],
            _ => Vec::new(),
        }
    }
}

/// What an op must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// `= 501`: the callback ran and this came back (for `enumerate`: so many calls were made).
    Value(i64),
    /// `= late`: the call came late, was defused and reported; no user code ran.
    Late,
    /// `= removed`: no call was in flight.
    Removed,
    /// `= in_flight(N)`: N calls were in flight.
    InFlight(u32),
    /// `= already_revoked`: somebody else had revoked it.
    AlreadyRevoked,
    /// `= quiescent`: no call is in flight any more.
    Quiescent,
    /// `= deferred`: frames of this thread are still in it; the outermost of them destroys it.
    Deferred,
    /// `= refused`: the library or the registry would not have it; nothing is retained.
    Refused,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Value(v) => write!(f, "{v}"),
            Expect::Late => f.write_str("late"),
            Expect::Removed => f.write_str("removed"),
            Expect::InFlight(n) => write!(f, "in_flight({n})"),
            Expect::AlreadyRevoked => f.write_str("already_revoked"),
            Expect::Quiescent => f.write_str("quiescent"),
            Expect::Deferred => f.write_str("deferred"),
            Expect::Refused => f.write_str("refused"),
        }
    }
}

/// An enum whose values have the names that the text form uses.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// Its name in programs, reports and documentation.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// What a subject may offer and a program may need. Most are the first word of an op's line.
    Verb {
        /// [`Op::Register`]
        Register = "register",
        /// [`Op::Invoke`]
        Invoke = "invoke",
        /// [`Op::Enumerate`]
        Enumerate = "enumerate",
        /// [`Op::Fire`]
        Fire = "fire",
        /// [`Op::Send`]
        Send = "send",
        /// [`Op::Post`]
        Post = "post",
        /// [`Op::Revoke`]
        Revoke = "revoke",
        /// [`Op::RevokeAndWait`]
        RevokeAndWait = "revoke_and_wait",
        /// [`Op::Release`]
        Release = "release",
        /// [`Op::Unsubscribe`]
        Unsubscribe = "unsubscribe",
        /// [`Op::Forget`]
        Forget = "forget",
        /// [`Op::Replace`]
        Replace = "replace",
        /// [`Op::Churn`]
        Churn = "churn",
        /// [`Op::Barrier`]
        Barrier = "barrier",
        /// [`Op::Shutdown`]
        Shutdown = "shutdown",
        /// [`Op::Hold`]
        Hold = "hold",
        /// [`Op::Open`]
        Open = "open",
        /// [`Op::Reach`]
        Reach = "reach",
        /// [`Op::Stall`]
        Stall = "stall",
        /// [`Op::Panic`]
        Panic = "panic",
        /// [`Op::Return`]
        Return = "return",
        /// Not an op: callbacks may be `exclusive`.
        Exclusive = "exclusive",
        /// Not an op: callbacks may be `confined`.
        Confined = "confined",
    }
}

named! {
    /// What a hostile or buggy library does; the bits `EMITTER_HOSTILE_…` of `native/include/emitter.h`, which says more.
    Hostile {
        /// A subscription stays callable after it was unsubscribed.
        Late = "late",
        /// Each fire calls twice.
        Twice = "twice",
        /// Each fire also calls on two more library threads at once.
        Concurrent = "concurrent",
        /// Destroy notify before calls in flight have returned.
        NotifyEarly = "notify_early",
        /// Destroy notify twice.
        NotifyTwice = "notify_twice",
        /// No destroy notify.
        NotifyNever = "notify_never",
        /// Destroy notify before the queue has drained.
        NotifyBeforeDrain = "notify_before_drain",
        /// Everything known, live or dead, is fired when the library closes.
        FireOnClose = "fire_on_close",
        /// The same, from a thread-specific-data destructor of each library thread.
        FireTlsDestructor = "fire_tls_destructor",
        /// The same, from an `atexit` handler.
        FireAtexit = "fire_atexit",
        /// A fire passes another subscription's user data.
        WrongUserData = "wrong_user_data",
    }
}

named! {
    /// Places where a thread can be parked: in the C library (the first nine, `EMITTER_STALL_…` of
    /// `native/include/emitter.h`), and in what stands between C and the callback.
    Site {
        /// C: asked to fire; the pair has not been loaded.
        BeforeLoad = "before_load",
        /// C: the pair was loaded and counted in; the callback has not been called.
        BeforeCall = "before_call",
        /// C: the callback has returned; the in-flight count has not dropped.
        AfterCall = "after_call",
        /// C: the count has dropped; destroy notify and waiters are not served.
        AfterCount = "after_count",
        /// C: a destroy notify is about to run.
        BeforeNotify = "before_notify",
        /// C: a library thread took a delivery off the queue.
        Popped = "popped",
        /// C: unsubscribe has unlinked; it has not waited or returned.
        Unsubscribed = "unsubscribed",
        /// C: first act of a library thread.
        WorkerStart = "worker_start",
        /// C: last act of a library thread.
        WorkerExit = "worker_exit",
        /// Rust: in the trampoline, nothing looked at yet.
        BeforeAcquire = "before_acquire",
        /// Rust: the handle was found good; user code has not been entered.
        AfterAcquire = "after_acquire",
        /// Rust: user code has returned; the in-flight count has not dropped.
        BeforeRelease = "before_release",
        /// Rust: the count has dropped; the waiter is not served.
        AfterRelease = "after_release",
        /// Rust: revoke has set its mark; it has not freed, waited or returned.
        Revoked = "revoked",
        /// Rust: the slot's tombstone is written; the slot cannot be had yet.
        TombstoneWritten = "tombstone_written",
        /// Rust: the slot can be had by the next registration.
        SlotListed = "slot_listed",
    }
}

/// A set of verbs.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct VerbSet(u32);

impl VerbSet {
    /// None.
    pub const EMPTY: VerbSet = VerbSet(0);

    /// The set of these.
    pub const fn of(verbs: &[Verb]) -> Self {
        let mut set = 0;
        let mut i = 0;
        while i < verbs.len() {
            set |= 1 << verbs[i] as u32;
            i += 1;
        }
        VerbSet(set)
    }

    /// Both sets' verbs.
    #[must_use]
    pub const fn union(self, other: VerbSet) -> Self {
        VerbSet(self.0 | other.0)
    }

    /// What this set has and `other` has not.
    #[must_use]
    pub const fn minus(self, other: VerbSet) -> Self {
        VerbSet(self.0 & !other.0)
    }

    /// Whether it has this verb.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u32) != 0
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a verb.
    pub fn insert(&mut self, verb: Verb) {
        self.0 |= 1 << verb as u32;
    }

    /// Its verbs, in order.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.iter().copied().filter(move |verb| self.contains(*verb))
    }
}

impl FromIterator<Verb> for VerbSet {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        let mut set = VerbSet::EMPTY;
        for verb in verbs {
            set.insert(verb);
        }
        set
    }
}

impl fmt::Debug for VerbSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Verb::name)).finish()
    }
}
