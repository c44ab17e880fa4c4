//! Dropping a registry: the closures that remain, their destroy notifies, and the registry's id.

use super::sync::lock;
use super::{Registry, ids, slot};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

impl<F: ?Sized> Drop for Registry<F> {
    fn drop(&mut self) {
        self.forget_unpinned();
        let used = lock(&self.core.bookkeeping).used();
        let mut next_generation = 1;
        let mut first_panic = None;
        for index in 0..used {
            let Some(slot) = self.table.get(index) else { continue };
            let word = slot.word(index);
            let vacant = word.state() == slot::State::Vacant;
            next_generation = next_generation.max(word.generation() + u32::from(!vacant));
            if !word.has_closure() {
                continue;
            }
            // SAFETY: clause 1 of `take`: `has_closure` says that there is a closure, and `&mut self` is exclusive
            // access.
            let callback = unsafe { slot.take() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(callback))) {
                if first_panic.is_none() && !std::thread::panicking() {
                    first_panic = Some(panic);
                } else {
                    // Only one panic can be resumed. The payload of another is not dropped, because that could panic
                    // too.
                    std::mem::forget(panic);
                }
            }
        }
        for index in 0..used {
            self.core.run_notify(self.core.extras.take_notify(index));
        }
        if self.core.id() != 0 {
            ids::give_back(self.core.id(), next_generation);
        }
        if let Some(panic) = first_panic {
            resume_unwind(panic);
        }
    }
}
