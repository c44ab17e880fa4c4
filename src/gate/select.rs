//! Which part of everything to check: the subjects and engines that a filter names, as checks.

use super::Budget;
use super::check::Check;
use super::names::{SelectError, matching};
use super::verdict::Expected;
use crate::engine::ENGINES;
use crate::subject::{Catalogue, Library};

/// Which part of everything to check.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Patterns of subjects' names (`*` and `?`); empty: all.
    pub subjects: Vec<String>,
    /// Patterns of engines' names; empty: all.
    pub engines: Vec<String>,
    /// Where generators start.
    pub seed: u64,
    /// How much to do.
    pub budget: Budget,
    /// The C library.
    pub library: Library,
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
                    continue; // there is nothing that it could run
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
