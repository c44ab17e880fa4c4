//! Process-wide registry ids, by which a handle names its registry. A registry takes one at its first registration.
//!
//! An id belongs to one registry at a time. When a registry is dropped, its id goes to the end of a queue, together
//! with the first generation that the dropped registry never issued. The next registry with this id starts there, so it
//! never issues a handle that the dropped registry has issued. An id whose generations are used up is not reused.

use super::handle::Layout;
use super::sync::Outside;
use std::collections::VecDeque;

/// An id in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    /// 1 up to the layout's maximum.
    pub(super) number: u32,
    /// The first generation that the new owner of the id may issue: 1 or more.
    pub(super) first_generation: u32,
}

/// The ids of a process.
pub(super) struct Ids {
    /// The highest number ever given out.
    highest: u32,
    /// Ids given back, the longest idle first.
    idle: VecDeque<Id>,
}

impl Ids {
    pub(super) const fn new() -> Self {
        Self { highest: 0, idle: VecDeque::new() }
    }

    /// Takes a number that was never used, if there is one, otherwise the id that has been idle longest. `None`: all
    /// are in use or used up.
    pub(super) fn take(&mut self, layout: Layout) -> Option<Id> {
        if self.highest < layout.max_id() {
            self.highest += 1;
            return Some(Id { number: self.highest, first_generation: 1 });
        }
        self.idle.pop_front()
    }

    /// Gives `number` back. `next_generation` is the first generation that was never issued under it.
    pub(super) fn give_back(&mut self, number: u32, next_generation: u32, layout: Layout) {
        // Without memory the id is not used again. A registry that is dropped needs none.
        if next_generation <= layout.max_generation() && self.idle.try_reserve(1).is_ok() {
            self.idle.push_back(Id { number, first_generation: next_generation });
        }
    }
}

pub(super) static IDS: Outside<Ids> = Outside::new(Ids::new());

/// Takes an id for a registry that has none yet.
pub(super) fn take() -> Option<Id> {
    with(|ids| ids.take(Layout::HERE))
}

/// Gives back the id of a registry that is being dropped.
pub(super) fn give_back(number: u32, next_generation: u32) {
    with(|ids| ids.give_back(number, next_generation, Layout::HERE));
}

fn with<R>(f: impl FnOnce(&mut Ids) -> R) -> R {
    f(&mut IDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: Layout = Layout { index_bits: 1, generation_bits: 2, id_bits: 2 };

    #[test]
    fn ids_run_out_as_a_value_and_come_back_oldest_first() {
        let mut ids = Ids::new();
        for number in 1..=3 {
            assert_eq!(ids.take(TINY), Some(Id { number, first_generation: 1 }));
        }
        assert_eq!(ids.take(TINY), None);
        ids.give_back(2, 2, TINY);
        ids.give_back(1, 3, TINY);
        assert_eq!(ids.take(TINY), Some(Id { number: 2, first_generation: 2 }));
        assert_eq!(ids.take(TINY), Some(Id { number: 1, first_generation: 3 }));
        assert_eq!(ids.take(TINY), None);
    }

    #[test]
    fn an_id_whose_generations_are_used_up_never_comes_back() {
        let mut ids = Ids::new();
        while ids.take(TINY).is_some() {}
        ids.give_back(3, TINY.max_generation() + 1, TINY);
        assert_eq!(ids.take(TINY), None);
    }
}
