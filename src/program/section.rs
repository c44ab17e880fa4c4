//! Where a step stands in its program.

use super::{CallbackId, Program, Step};

/// A list of steps in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// `before`
    Before,
    /// `thread`; 0 is the first.
    Thread(u8),
    /// `after`
    After,
    /// The body of a callback.
    Body(CallbackId),
}

/// The position of one step in its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId {
    /// The section.
    pub section: Section,
    /// The step's index in the section; 0 is the first.
    pub index: u16,
}

impl Program {
    /// The steps of a section, or `None` if the program has no such thread or callback.
    pub fn section(&self, section: Section) -> Option<&[Step]> {
        match section {
            Section::Before => Some(&self.before),
            Section::Thread(i) => self.threads.get(i as usize).map(Vec::as_slice),
            Section::After => Some(&self.after),
            Section::Body(id) => self.callbacks.get(id.0 as usize).map(|callback| callback.body.as_slice()),
        }
    }

    /// The step at this position, if there is one.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.section(id.section)?.get(id.index as usize)
    }

    /// The steps of a section, for editing.
    pub(super) fn section_mut(&mut self, section: Section) -> Option<&mut Vec<Step>> {
        match section {
            Section::Before => Some(&mut self.before),
            Section::Thread(i) => self.threads.get_mut(i as usize),
            Section::After => Some(&mut self.after),
            Section::Body(id) => self.callbacks.get_mut(id.0 as usize).map(|callback| &mut callback.body),
        }
    }

    /// The step at this position, for editing.
    pub(super) fn step_mut(&mut self, id: StepId) -> Option<&mut Step> {
        self.section_mut(id.section)?.get_mut(id.index as usize)
    }

    /// Every step of the program: bodies, `before`, threads, `after`.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let bodies = self.callbacks.iter().flat_map(|callback| &callback.body);
        bodies.chain(self.section_steps())
    }

    /// Every step outside the bodies: `before`, threads, `after`.
    pub(super) fn section_steps(&self) -> impl Iterator<Item = &Step> {
        self.before.iter().chain(self.threads.iter().flatten()).chain(&self.after)
    }

    /// Every step for editing, in the order of [`Program::steps`].
    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        let bodies = self.callbacks.iter_mut().flat_map(|callback| &mut callback.body);
        bodies.chain(&mut self.before).chain(self.threads.iter_mut().flatten()).chain(&mut self.after)
    }
}
