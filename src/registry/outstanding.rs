//! What is registered and not over: for hosts that want to unload a module, for reports of waits, for leak hunts.

use super::handle::Handle;
use super::slot::State;
use super::sync::{Mutex, lock};
use super::thread::ThreadTag;
use super::{Core, Registry, report};
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
        self.handles(|state| matches!(state, State::Live | State::Revoking | State::Quiescent))
            .into_iter()
            .map(|handle| self.look(handle))
            .collect()
    }

    /// The handles of registrations that are not over and whose slots are in a state that `which` picks. A registration
    /// that is being made is either finished before this, or not begun.
    pub(super) fn handles(&self, which: impl Fn(State) -> bool) -> Vec<Handle> {
        let used = lock(&self.core.books).used;
        let words = (0..used).filter_map(|index| Some((index, self.table.get(index)?.word())));
        let picked = words.filter(|(_, word)| which(word.state()));
        picked.map(|(index, word)| Handle::pack(index, word.generation(), self.core.id())).collect()
    }

    /// What is known about `handle`, which this registry has issued.
    pub(super) fn look(&self, handle: Handle) -> Outstanding {
        let word = self.table.get(handle.index()).map(super::slot::Slot::word);
        let inside = word.filter(|word| {
            word.generation() == handle.generation() && matches!(word.state(), State::Live | State::Revoking)
        });
        let life = lock(&self.core.books).find(handle.index(), handle.generation()).cloned();
        Outstanding {
            handle,
            text: report::describe(&self.core, handle).to_string(),
            revoked: life.and_then(|life| life.revoked).map(|trace| report::deed(&trace).to_string()),
            calls: inside.map_or(0, super::slot::Word::count),
            threads: self.core.callers.of(handle),
        }
    }
}

/// Who is inside what, for registries that want to know (`Registry::with_named_callers`).
pub(super) struct Callers(Mutex<Vec<(Handle, ThreadTag)>>);

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
pub(super) struct Named<'r>(&'r Callers, Handle);

impl Core {
    #[cold]
    pub(super) fn name_caller(&self, handle: Handle) -> Named<'_> {
        lock(&self.callers.0).push((handle, ThreadTag::current()));
        Named(&self.callers, handle)
    }
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        let own = (self.1, ThreadTag::current());
        let mut callers = lock(&self.0.0);
        if let Some(place) = callers.iter().rposition(|caller| *caller == own) {
            callers.remove(place);
        }
    }
}
