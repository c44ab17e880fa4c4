//! What a registry consists of besides its slots: `Core` does not depend on the type of the callbacks, so that reports
//! and waits are compiled once for all registries.

use super::announced::{Link, Place};
use super::bookkeeping::Bookkeeping;
use super::error::{Reason, Refused};
use super::extras::Extras;
use super::handle::{Handle, Layout};
use super::mutation::Mutation;
use super::outstanding::Callers;
use super::settings::Settings;
use super::slot::Word;
use super::stall::StallSite;
use super::sync::{AtomicBool, AtomicPtr, AtomicU32, Condvar, Counter, Mutex, Ordering, Outside, const_fn};

pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) callback_type: fn() -> &'static str,
    /// The registry's address, if the registry is known to stay there.
    pub(super) place: Option<fn() -> Place>,
    /// Its entry in the list of announced registries.
    pub(super) announced: Outside<Link>,
    /// 0 until the first registration.
    pub(super) id: AtomicU32,
    pub(super) first_generation: AtomicU32,
    pub(super) bookkeeping: Mutex<Bookkeeping>,
    /// Where this registry is listed in `module.rs`, or null.
    pub(super) unpinned_at: AtomicPtr<()>,
    /// Notified when a wait may be over. Waits release the lock of `bookkeeping`.
    pub(super) changed: Condvar,
    pub(super) late_calls: [Counter; Reason::COUNT],
    pub(super) extras: Extras,
    /// Closures are not dropped any more: the registry was closed with `Close::Leave`.
    pub(super) leak_closures: AtomicBool,
    pub(super) callers: Callers,
    pub(super) panics: Counter,
    pub(super) swallowed_panics: Counter,
}

impl Core {
    const_fn! {
        pub(super) const fn new(callback_type: fn() -> &'static str) -> Self {
            Self {
                settings: Settings::DEFAULT,
                callback_type,
                place: None,
                announced: Outside::new(Link::new()),
                id: AtomicU32::new(0),
                first_generation: AtomicU32::new(1),
                bookkeeping: Mutex::new(Bookkeeping::new()),
                unpinned_at: AtomicPtr::new(std::ptr::null_mut()),
                changed: Condvar::new(),
                late_calls: [const { Counter::new(0) }; Reason::COUNT],
                extras: Extras::new(),
                leak_closures: AtomicBool::new(false),
                callers: Callers::new(),
                panics: Counter::new(0),
                swallowed_panics: Counter::new(0),
            }
        }
    }

    #[inline(always)]
    pub(super) fn stall(&self, site: StallSite) {
        if let Some(hook) = self.settings.stall_hook {
            hook(site);
        }
    }

    /// Whether this registry was made without the rule that `mutation` removes: never, outside this crate's own tests.
    #[inline(always)]
    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "the registry of a test has a mutation"))]
    pub(super) fn mutated(&self, mutation: Mutation) -> bool {
        #[cfg(test)]
        return self.settings.mutation == Some(mutation);
        #[cfg(not(test))]
        {
            let _ = mutation;
            false
        }
    }

    #[inline]
    pub(super) fn id(&self) -> u32 {
        // Acquire pairs with the Release in `register.rs`, `take_slot`: a thread that sees the id sees the first
        // generation.
        self.id.load(Ordering::Acquire)
    }

    /// The last generation a slot may have.
    pub(super) fn last_generation(&self) -> u32 {
        // Relaxed: read and written under the registry's lock.
        let first = self.first_generation.load(Ordering::Relaxed);
        let generations = (1_u32 << self.settings.generation_bits) - 1;
        (first + (generations - 1)).min(Layout::HERE.max_generation())
    }

    /// Why a slot with this word refuses `handle`, whose registry id has been checked.
    #[inline]
    pub(super) fn refused(&self, handle: Handle, word: Word) -> Refused {
        // Relaxed: the Acquire load of the id, in `check_registry`, orders it.
        let first = self.first_generation.load(Ordering::Relaxed);
        Refused { reason: word.refusal(handle.generation(), first), current_generation: word.generation() }
    }

    /// Whether `handle` can be one of this registry at all.
    #[inline]
    pub(super) fn check_registry(&self, handle: Handle) -> Result<(), Refused> {
        if handle.is_null() {
            return Err(Refused::unknown(Reason::Null));
        }
        if handle.registry_id() != self.id() {
            return Err(Refused::unknown(Reason::WrongRegistry));
        }
        Ok(())
    }

    /// Why a slot with the word `found` refuses `handle`.
    #[inline]
    pub(super) fn refusal(&self, handle: Handle, found: Word) -> Refused {
        match self.check_registry(handle) {
            Err(refused) => refused,
            Ok(()) => self.refused(handle, found),
        }
    }
}
