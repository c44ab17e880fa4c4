//! The data of a program: ops, steps, expectations, and the names that the text form uses for them.
//!
//! Reports, the command line and the C header use the same names. Elsewhere: what an op does (`engine::run`), and how
//! it is written (`text`).

use std::fmt;

/// A callback of a program: an index into [`Program::callbacks`](super::Program::callbacks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallbackId(pub u8);

/// A gate of a program: an index into [`Program::gates`](super::Program::gates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateId(pub u8);

/// One line of a program: an op, the answer it must give, and the call of the callback in which it runs.
///
/// Made from an [`Op`] by `Step::from`, without an expectation and for every call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What to do.
    pub op: Op,
    /// The answer that the op must give (`= …`). Any other answer is the violation `Unexpected`.
    pub expect: Option<Expect>,
    /// In bodies: the step runs only in the Nth call of the callback; 1 is the first (`nth N …`).
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
    /// First argument. In an enumeration: the item's number.
    pub a: i64,
    /// Second argument. In an enumeration: `lparam`.
    pub b: i64,
}

/// What an owner, a library or a test does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// `register A…`: hands the callbacks to the library, which retains them. Several callbacks form one table.
    Register(Vec<CallbackId>),
    /// `invoke A [n m]`: call-scoped use. The library calls once, on this thread, and keeps nothing.
    Invoke(CallbackId, Option<Args>),
    /// `enumerate A N`: call-scoped use. The library calls for the items 0 to N-1, until the callback returns 0.
    /// Answers with the number of calls.
    Enumerate(CallbackId, u32),
    /// `fire A [n m]`: the library calls now, on this thread. Answers with what the callback returned.
    Fire(CallbackId, Option<Args>),
    /// `send A [n m]`: the library calls on a thread of its own, and the op waits for the answer.
    Send(CallbackId, Option<Args>),
    /// `post A [n m]`: the library queues a delivery for a thread of its own. The op returns at once.
    Post(CallbackId, Option<Args>),
    /// `revoke A`: no new call starts. Does not wait.
    Revoke(CallbackId),
    /// `revoke_and_wait A`: no new call starts. Returns once no call is in flight, except on this thread's stack.
    RevokeAndWait(CallbackId),
    /// `release A`: the Rust side revokes, waits and frees. The library is *not* told.
    Release(CallbackId),
    /// `unsubscribe A`: the library is told. The Rust side keeps the callback.
    Unsubscribe(CallbackId),
    /// `forget A`: the guard is leaked (`mem::forget`), so it never revokes.
    Forget(CallbackId),
    /// `replace A B`: the library swaps A for B in place, as one unit. Then A is revoked, without waiting.
    Replace(CallbackId, CallbackId),
    /// `churn N`: registers and revokes N callbacks, one after the other. None of them is ever fired.
    Churn(u32),
    /// `barrier`: returns once every delivery that was posted before has been made or dropped.
    Barrier,
    /// `shutdown`: revokes every callback that is still registered, then closes the library.
    Shutdown,
    /// `hold G`: this thread stops until gate G is opened, or until no other thread of the program can move.
    Hold(GateId),
    /// `open G`: releases every thread that is held at G now or arrives there later.
    Open(GateId),
    /// `reach G`: waits until a thread is held at G, or until no other thread of the program can move.
    Reach(GateId),
    /// `stall SITE G`: the first thread that passes SITE from now on is held at G.
    Stall(Site, GateId),
    /// `panic` (bodies only): the callback panics.
    Panic,
    /// `return V` (bodies only): the callback returns V instead of what [`Callback::returns`](super::Callback::returns)
    /// says.
    Return(i64),
}

impl Op {
    /// The verb that the op's line starts with.
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

    /// Whether the op does nothing but force an order.
    pub(crate) fn is_about_gates(&self) -> bool {
        self.gate().is_some()
    }

    /// The gate that the op names.
    pub fn gate(&self) -> Option<GateId> {
        match self {
            Op::Hold(gate) | Op::Open(gate) | Op::Reach(gate) | Op::Stall(_, gate) => Some(*gate),
            _ => None,
        }
    }

    /// The gate that the op names, for editing.
    pub(super) fn gate_mut(&mut self) -> Option<&mut GateId> {
        match self {
            Op::Hold(gate) | Op::Open(gate) | Op::Reach(gate) | Op::Stall(_, gate) => Some(gate),
            _ => None,
        }
    }

    /// The arguments that the op gives; `None` if it gives none or takes none.
    pub(super) fn args(&self) -> Option<Args> {
        match self {
            Op::Invoke(_, args) | Op::Fire(_, args) | Op::Send(_, args) | Op::Post(_, args) => *args,
            _ => None,
        }
    }

    /// The arguments for editing; `None` if the op takes none.
    pub(super) fn args_mut(&mut self) -> Option<&mut Option<Args>> {
        match self {
            Op::Invoke(_, args) | Op::Fire(_, args) | Op::Send(_, args) | Op::Post(_, args) => Some(args),
            _ => None,
        }
    }

    /// The callbacks that the op names, in that order.
    pub fn callbacks(&self) -> Vec<CallbackId> {
        match self {
            Op::Register(ids) => ids.clone(),
            Op::Invoke(a, _) | Op::Enumerate(a, _) | Op::Fire(a, _) | Op::Send(a, _) | Op::Post(a, _) => vec![*a],
            Op::Revoke(a) | Op::RevokeAndWait(a) | Op::Release(a) | Op::Unsubscribe(a) | Op::Forget(a) => vec![*a],
            Op::Replace(a, b) => vec![*a, *b],
            _ => Vec::new(),
        }
    }

    /// The callbacks that the op names, for editing.
    pub(super) fn callbacks_mut(&mut self) -> Vec<&mut CallbackId> {
        match self {
            Op::Register(ids) => ids.iter_mut().collect(),
            Op::Invoke(a, _) | Op::Enumerate(a, _) | Op::Fire(a, _) | Op::Send(a, _) | Op::Post(a, _) => vec![a],
            Op::Revoke(a) | Op::RevokeAndWait(a) | Op::Release(a) | Op::Unsubscribe(a) | Op::Forget(a) => vec![a],
            Op::Replace(a, b) => vec![a, b],
            _ => Vec::new(),
        }
    }

    /// The callbacks that the op registers. A program registers each callback at most once.
    pub fn registers(&self) -> Vec<CallbackId> {
        match self {
            Op::Register(ids) => ids.clone(),
            Op::Invoke(a, _) | Op::Enumerate(a, _) => vec![*a],
            Op::Replace(_, b) => vec![*b],
            _ => Vec::new(),
        }
    }
}

/// The answer that a program expects of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// `= 501`: the callback ran and returned this value. For `enumerate`: the number of calls.
    Value(i64),
    /// `= late`: the call came late, was defused and was reported. No user code ran.
    Late,
    /// `= removed`: revoked, and no call was in flight.
    Removed,
    /// `= in_flight(N)`: revoked, and N calls were in flight.
    InFlight(u32),
    /// `= already_revoked`: the callback had been revoked before.
    AlreadyRevoked,
    /// `= quiescent`: revoked, and no call is in flight any more.
    Quiescent,
    /// `= deferred`: revoked, and this thread is still inside the callback. Its outermost frame destroys the callback.
    Deferred,
    /// `= refused`: the library or the registry refused. Nothing is retained.
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

/// An enum without fields whose variants carry the names that the text form uses.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// All values, in the order of their declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name in programs, reports and documentation.
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
    /// What a subject may offer and a program may need. Most verbs are the first word of an op's line.
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
        /// Not an op: the attribute `exclusive` of callbacks.
        Exclusive = "exclusive",
        /// Not an op: the attribute `confined` of callbacks.
        Confined = "confined",
    }
}

named! {
    /// What a hostile or buggy library does. These are the bits `EMITTER_HOSTILE_…` of `native/include/emitter.h`,
    /// which describes them in detail.
    Hostile {
        /// A subscription stays callable after it was unsubscribed.
        Late = "late",
        /// Each fire calls twice.
        Twice = "twice",
        /// Each fire also calls on two more library threads at the same time.
        Concurrent = "concurrent",
        /// Destroy notify before calls in flight have returned.
        NotifyEarly = "notify_early",
        /// Destroy notify twice.
        NotifyTwice = "notify_twice",
        /// No destroy notify.
        NotifyNever = "notify_never",
        /// Destroy notify before the queue has drained.
        NotifyBeforeDrain = "notify_before_drain",
        /// Every subscription, live or dead, is fired when the library closes.
        FireOnClose = "fire_on_close",
        /// Every subscription is fired from a thread-specific-data destructor of each library thread.
        FireTlsDestructor = "fire_tls_destructor",
        /// Every subscription is fired from an `atexit` handler.
        FireAtexit = "fire_atexit",
        /// A fire passes the user data of another subscription.
        WrongUserData = "wrong_user_data",
    }
}

named! {
    /// Places where a thread can be held. The first nine are in the C library (`EMITTER_STALL_…` of
    /// `native/include/emitter.h`), the others in the binding and the registry.
    Site {
        /// C: a fire begins. Function and user data have not been loaded.
        BeforeLoad = "before_load",
        /// C: function and user data are loaded, and the call is counted. The callback has not been called.
        BeforeCall = "before_call",
        /// C: the callback has returned. The in-flight count has not dropped.
        AfterCall = "after_call",
        /// C: the in-flight count has dropped. The destroy notify has not been sent, and no waiter has been woken.
        AfterCount = "after_count",
        /// C: a destroy notify is about to run.
        BeforeNotify = "before_notify",
        /// C: a library thread has taken a delivery off the queue.
        Popped = "popped",
        /// C: `unsubscribe` has unlinked the subscription. It has not waited or returned.
        Unsubscribed = "unsubscribed",
        /// C: the first act of a library thread.
        WorkerStart = "worker_start",
        /// C: the last act of a library thread.
        WorkerExit = "worker_exit",
        /// Rust: the trampoline begins. It has looked nothing up.
        BeforeAcquire = "before_acquire",
        /// Rust: the handle is valid. User code has not been entered.
        AfterAcquire = "after_acquire",
        /// Rust: user code has returned. The in-flight count has not dropped.
        BeforeRelease = "before_release",
        /// Rust: the in-flight count has dropped. The waiter has not been woken.
        AfterRelease = "after_release",
        /// Rust: `revoke` has marked the slot. It has not freed, waited or returned.
        Revoked = "revoked",
        /// Rust: the slot's tombstone is written. The slot is not on the freelist yet.
        TombstoneWritten = "tombstone_written",
        /// Rust: the slot is on the freelist, and the next registration may take it.
        SlotListed = "slot_listed",
    }
}
