//! What is registered and not over: for hosts that want to unload a module, for reports of waits, for leak hunts.

use super::bookkeeping::{Bookkeeping, History};
use super::handle::Handle;
use super::slot::{State, Word};
use super::sync::{Mutex, lock};
use super::thread::ThreadTag;
use super::{Core, Registry, record, report};
use std::fmt;

/// A registration that is not over: live, or revoked with calls inside. Its [`Display`](fmt::Display) is one entry of a
/// list for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outstanding {
    handle: Handle,
    text: String,
    revoked: Option<String>,
    calls: u32,
    threads: Vec<ThreadTag>,
}

impl Outstanding {
    /// Its handle.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// How many calls are inside.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Whether it has been revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revoked.is_some()
    }

    /// The threads that are inside, if the registry [names them](Registry::with_named_callers).
    #[must_use]
    pub fn threads(&self) -> &[ThreadTag] {
        &self.threads
    }
}

impl fmt::Display for Outstanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if let Some(revoked) = &self.revoked {
            write!(f, "\n  revoked     {revoked}")?;
        }
        if self.calls > 0 {
            write!(f, "\n  inside      {} calls", self.calls)?;
            for thread in &self.threads {
                write!(f, "; {thread}")?;
            }
        }
        Ok(())
    }
}

impl<F: ?Sized> Registry<F> {
    /// Every registration that is not over, with where it was made (S77). By slot, as of one moment for registrations and
    /// a moment ago for calls. Takes the registry's lock, and allocates.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.builder().label("volume").register(Box::new(|| ()));
    /// assert!(R.outstanding()[0].to_string().contains("`volume`"));
    /// drop(registration);
    /// assert!(R.outstanding().is_empty());
    /// ```
    #[must_use]
    pub fn outstanding(&self) -> Vec<Outstanding> {
        let not_over = |word: Word| word.has_closure() || word.state() == State::Quiescent;
        // A statement of its own: the lock is taken again for each.
        let handles = self.handles(&lock(&self.core.bookkeeping), not_over);
        handles.into_iter().map(|handle| self.inspect(handle)).collect()
    }

    /// The handles of registrations whose slot's word `which` picks. One that is being made, and is not published yet, is
    /// not among them.
    pub(super) fn handles(&self, bookkeeping: &Bookkeeping, which: impl Fn(Word) -> bool) -> Vec<Handle> {
        let words = (0..bookkeeping.used()).filter_map(|index| Some((index, self.table.get(index)?.word(index))));
        let picked = words.filter(|(_, word)| which(*word));
        picked.map(|(index, word)| Handle::pack(index, word.generation(), self.core.id())).collect()
    }

    /// What the bookkeeping has on `handle`.
    pub(super) fn history(&self, handle: Handle) -> Option<History> {
        let bookkeeping = lock(&self.core.bookkeeping);
        // Under the lock, under which slots are given to another tenant: as of the same moment.
        let word = self.resolve(handle).ok().map(|slot| slot.word(handle.index()));
        let in_slot = word.is_some_and(|word| {
            word.generation() == handle.generation() && (word.has_closure() || word.state() == State::Quiescent)
        });
        bookkeeping.find(handle, in_slot)
    }

    /// A registration in one line, for a message.
    pub(crate) fn describe(&self, handle: Handle) -> String {
        report::describe(&self.core, handle, self.history(handle).as_ref())
    }

    /// What is known about `handle`, which this registry has issued.
    pub(super) fn inspect(&self, handle: Handle) -> Outstanding {
        let word = self.table.get(handle.index()).map(|slot| slot.word(handle.index()));
        let inside = word.is_some_and(|word| word.generation() == handle.generation() && word.has_closure());
        let history = self.history(handle);
        Outstanding {
            handle,
            text: report::describe(&self.core, handle, history.as_ref()),
            revoked: history.and_then(|history| history.revoked).map(|trace| report::provenance(&trace).to_string()),
            calls: if inside { record::calls(handle.bits()) } else { 0 },
            threads: self.core.callers.of(handle),
        }
    }
}

/// Who is inside what, for registries that want to know (`Registry::with_named_callers`).
pub(super) struct Callers(pub(super) Mutex<CallersInside>);

/// Once for each call.
pub(super) type CallersInside = Vec<(Handle, ThreadTag)>;

impl Callers {
    super::sync::const_fn! {
        pub(super) const fn new() -> Self {
            Self(Mutex::new(Vec::new()))
        }
    }

    fn of(&self, handle: Handle) -> Vec<ThreadTag> {
        lock(&self.0).iter().filter(|(inside, _)| *inside == handle).map(|(_, thread)| *thread).collect()
    }
}

/// Notes that the calling thread is inside; undone when dropped.
pub(super) struct NamedCaller<'r>(&'r Callers, Handle);

impl Core {
    #[cold]
    pub(super) fn name_caller(&self, handle: Handle) -> NamedCaller<'_> {
        lock(&self.callers.0).push((handle, ThreadTag::current()));
        NamedCaller(&self.callers, handle)
    }
}

impl Drop for NamedCaller<'_> {
    fn drop(&mut self) {
        let own = (self.1, ThreadTag::current());
        let mut callers = lock(&self.0.0);
        if let Some(place) = callers.iter().rposition(|caller| *caller == own) {
            callers.remove(place);
        }
    }
}
