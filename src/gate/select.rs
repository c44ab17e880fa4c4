//! Which subjects and engines there are by name, and which of them a filter means.

use super::Budget;
use super::check::{Check, Library};
use super::verdict::Expected;
use crate::emitter::{Api, LoadError, bundled_object};
use crate::engine::ENGINES;
use crate::program::text::nearest;
use crate::subject::Subject;
use crate::subject::catalogue::{self, Bundled};
use std::fmt;

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
    pub fn checks(&self) -> Result<Vec<Check>, SelectError> {
        let subjects = all(&self.library)?;
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
                    expected: Expected::of(it.flaw, engine),
                });
            }
        }
        Ok(checks)
    }
}

/// Those of `names` that a pattern matches; all when there are no patterns.
fn matching<'a>(what: &'static str, patterns: &[String], names: &[&'a str]) -> Result<Vec<&'a str>, SelectError> {
    for pattern in patterns {
        if !names.iter().any(|name| matches(pattern, name)) {
            return Err(SelectError::NothingMatches { what, pattern: pattern.clone(), near: near(pattern, names) });
        }
    }
    let chosen = |name: &&&str| patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name));
    Ok(names.iter().filter(chosen).copied().collect())
}

/// Every bundled subject over a library. Over the linked one that includes the registry over the bundled shared object,
/// under names of its own; those are here to be listed: [`find`] loads the object.
///
/// # Errors
///
/// The library cannot be loaded.
pub fn all(library: &Library) -> Result<Vec<Bundled>, SelectError> {
    let api = library.api()?;
    let mut all = catalogue::every(api);
    if *library == Library::Linked {
        let flawed = all.iter().position(|it| it.flaw.is_some()).unwrap_or(all.len());
        all.splice(flawed..flawed, catalogue::loaded(api));
    }
    Ok(all)
}

/// The bundled subject with this name, ready to run.
///
/// # Errors
///
/// There is none, or its library cannot be loaded.
pub fn find(name: &str, library: &Library) -> Result<Bundled, SelectError> {
    let known = all(library)?;
    let named = |it: &Bundled| it.subject.name() == name;
    if *library == Library::Linked && catalogue::loaded(Api::linked()).iter().any(named) {
        let api = Api::load(&bundled_object()).map_err(SelectError::Load)?;
        return catalogue::loaded(api).into_iter().find(named).ok_or_else(|| unknown(name, &known));
    }
    match known.iter().position(named) {
        Some(at) => known.into_iter().nth(at).ok_or_else(|| unknown(name, &[])),
        None => Err(unknown(name, &known)),
    }
}

fn unknown(name: &str, known: &[Bundled]) -> SelectError {
    let names: Vec<&str> = known.iter().map(|it| it.subject.name()).collect();
    SelectError::UnknownSubject { name: name.to_owned(), near: near(name, &names) }
}

impl Library {
    /// Its functions.
    ///
    /// # Errors
    ///
    /// It cannot be loaded.
    pub fn api(&self) -> Result<&'static Api, SelectError> {
        match self {
            Library::Linked => Ok(Api::linked()),
            Library::Object(path) => Api::load(path).map_err(SelectError::Load),
        }
    }
}

/// Why nothing was selected.
#[derive(Debug)]
#[non_exhaustive]
pub enum SelectError {
    /// A pattern that matches nothing.
    NothingMatches {
        /// `subject` or `engine`.
        what: &'static str,
        /// The pattern.
        pattern: String,
        /// Names that may have been meant.
        near: Vec<String>,
    },
    /// A name that is no subject's.
    UnknownSubject {
        /// The name.
        name: String,
        /// Names that may have been meant.
        near: Vec<String>,
    },
    /// The library.
    Load(LoadError),
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near = match self {
            SelectError::NothingMatches { what, pattern, near } => {
                write!(f, "no {what} matches `{pattern}`")?;
                near
            }
            SelectError::UnknownSubject { name, near } => {
                write!(f, "there is no subject `{name}`")?;
                near
            }
            SelectError::Load(error) => return error.fmt(f),
        };
        if !near.is_empty() {
            let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
            write!(f, "; did you mean {}?", near.join(" or "))?;
        }
        f.write_str(" (`latecall list` lists them all)")
    }
}

impl std::error::Error for SelectError {}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where to go on when a guess of how much the last `*` takes was wrong.
    let (mut p, mut n, mut again) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                again = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((after, from)) = again else { return false };
                (p, n, again) = (after, from + 1, Some((after, from + 1)));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// At most three names that a person who wrote `word` may have meant: the nearest ones, if they are near.
fn near(word: &str, names: &[&str]) -> Vec<String> {
    let letters: Vec<char> = word.chars().filter(|c| !"*?".contains(*c)).take(40).collect();
    let tail = |name: &str| name.rsplit('/').next().is_some_and(|tail| tail == letters.iter().collect::<String>());
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .map(|name| (if tail(name) { 0 } else { nearest::distance(&letters, name) }, *name))
        .filter(|(distance, _)| *distance <= (letters.len() / 3).clamp(1, 4))
        .collect();
    near.sort();
    let nearest = near.first().map(|(distance, _)| *distance);
    near.retain(|(distance, _)| Some(*distance) == nearest);
    near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("registry/*", "registry/waits"));
        assert!(!matches("registry/*", "loaded/registry/waits"));
        assert!(matches("*/waits", "loaded/registry/waits"));
        assert!(matches("*", ""));
        assert!(matches("**a?c*", "xabcabc"));
        assert!(!matches("?", ""));
        assert!(!matches("a", "aa"));
        assert!(matches("a*b*c", "a__b__b__c"));
        assert!(!matches("a*b*c", "a__c__b"));
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let names = ["registry/waits", "locked/waits", "flawed/raw-box"];
        assert_eq!(near("registry/wait", &names), ["registry/waits"]);
        assert_eq!(near("waits", &names), ["locked/waits", "registry/waits"]);
        assert_eq!(near("flawed/rawbox", &names), ["flawed/raw-box"]);
        assert!(near("something/else", &names).is_empty());
        assert!(near("", &names).is_empty());
    }

    #[test]
    fn every_listed_subject_is_found() {
        for it in all(&Library::Linked).unwrap() {
            assert_eq!(find(it.subject.name(), &Library::Linked).unwrap().subject.name(), it.subject.name());
        }
    }
}
