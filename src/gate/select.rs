//! Which checks a filter means: each subject that it selects with each engine that it selects.

use super::Budget;
use super::check::Check;
use super::names::{SelectError, matching};
use super::verdict::Expected;
use crate::engine::ENGINES;
use crate::subject::{Catalogue, Library};

/// Which subjects to check, with which engines.
#[derive(Debug, Clone)]
pub struct Selection {
    subjects: Vec<String>,
    engines: Vec<String>,
    seed: u64,
    budget: Budget,
    library: Library,
}

impl Default for Selection {
    fn default() -> Self {
        Selection {
            subjects: Vec::new(),
            engines: Vec::new(),
            seed: 1,
            budget: Budget::Normal,
            library: Library::Linked,
        }
    }
}

impl Selection {
    /// All subjects with all engines, over the linked library, with the normal budget and seed 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only subjects whose names match one of these patterns: `*` stands for any characters, `?` for one. Without
    /// patterns: all.
    #[must_use]
    pub fn subjects(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subjects = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Only engines whose names match one of these patterns. Without patterns: all.
    #[must_use]
    pub fn engines(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.engines = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// The seed of the engines' generators (default: 1).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How much the engines do (default: [`Budget::Normal`]).
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// The C library that the subjects bind (default: [`Library::Linked`]).
    #[must_use]
    pub fn library(mut self, library: Library) -> Self {
        self.library = library;
        self
    }

    /// The checks: each selected subject with each selected engine, in the catalogue's order.
    ///
    /// # Errors
    ///
    /// A pattern that matches nothing; a library that cannot be loaded.
    pub fn checks(&self, catalogue: &dyn Catalogue) -> Result<Vec<Check>, SelectError> {
        let subjects = catalogue.list(&self.library).map_err(SelectError::Load)?;
        let names: Vec<&str> = subjects.iter().map(|it| it.subject.name()).collect();
        let chosen = matching("subject", &self.subjects, &names)?;
        let engines = matching("engine", &self.engines, &ENGINES)?;
        let mut checks = Vec::new();
        for it in subjects.iter().filter(|it| chosen.contains(&it.subject.name())) {
            for engine in &engines {
                if *engine == "model" && it.subject.modelled().is_none() {
                    continue; // without a twin there is nothing to explore
                }
                checks.push(Check {
                    subject: it.subject.name().to_owned(),
                    engine: (*engine).to_owned(),
                    seed: self.seed,
                    budget: self.budget,
                    library: self.library.clone(),
                    expected: Expected::of(it.flaw.as_ref(), engine),
                });
            }
        }
        Ok(checks)
    }
}
