//! Registrations that are not over: for hosts that want to unload a module, for reports of waits, and to find leaks.

use super::bookkeeping::History;
use super::handle::Handle;
use super::slot::{Slot, State, Word};
use super::sync::{Mutex, lock};
use super::thread::ThreadTag;
use super::{Core, Registry, record, report};
use std::fmt;

/// A registration that is not over: live, or revoked and its closure not dropped yet. Its [`Display`](fmt::Display) is
/// one entry of a list for people.
#[derive(Clone, Debug)]
#[must_use]
pub struct Outstanding {
    handle: Handle,
    text: String,
    revoked: Option<String>,
    calls: u32,
    threads: Vec<ThreadTag>,
}

impl Outstanding {
    /// The handle of the registration.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// How many calls are running.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Whether the registration has been revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revoked.is_some()
    }

    /// The threads of the running calls, one entry for each call, if the registry
    /// [names its callers](Registry::with_named_callers).
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
            write!(f, "\n  inside      {} call{}", self.calls, if self.calls == 1 { "" } else { "s" })?;
            for thread in &self.threads {
                write!(f, "; {thread}")?;
            }
        }
        Ok(())
    }
}

impl<F: ?Sized> Registry<F> {
    /// Every registration that is not over, with the place where it was made, in the order of slots. Registrations that
    /// other threads make or end meanwhile may be among them. Takes the registry's lock, and allocates.
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
        self.handles(not_over).map(|(handle, _)| self.inspect(handle)).collect()
    }

    /// The handles of the registrations in the slots that have been used until now, each with its slot, if `which`
    /// picks the slot's word at the moment when it is looked at. Allocates nothing.
    pub(super) fn handles(&self, which: impl Fn(Word) -> bool) -> impl Iterator<Item = (Handle, &Slot<F>)> {
        let used = lock(&self.core.bookkeeping).used();
        (0..used).filter_map(move |index| {
            let slot = self.table.get(index)?;
            let word = slot.word(index);
            which(word).then(|| (Handle::pack(index, word.generation(), self.core.id()), slot))
        })
    }

    /// What the bookkeeping has on `handle`.
    pub(super) fn history(&self, handle: Handle) -> Option<History> {
        let bookkeeping = lock(&self.core.bookkeeping);
        // Under the lock: slots are vacated under it, so the word and the bookkeeping agree.
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

/// Which thread is inside which callback, for registries made with `Registry::with_named_callers`.
pub(super) struct Callers(pub(super) Mutex<CallersInside>);

/// One entry for each running call.
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

/// The entry of a running call; removed when this is dropped.
pub(super) struct NamedCaller<'r>(&'r Callers, Handle);

impl Core {
    #[cold]
    pub(super) fn name_caller(&self, handle: Handle) -> NamedCaller<'_> {
        let mut callers = lock(&self.callers.0);
        // Without memory the call has no name.
        if callers.try_reserve(1).is_ok() {
            callers.push((handle, ThreadTag::current()));
        }
        drop(callers);
        NamedCaller(&self.callers, handle)
    }
}

impl Drop for NamedCaller<'_> {
    fn drop(&mut self) {
        let own = (self.1, ThreadTag::current());
        let mut callers = lock(&self.0.0);
        if let Some(position) = callers.iter().rposition(|caller| *caller == own) {
            callers.remove(position);
        }
    }
}
