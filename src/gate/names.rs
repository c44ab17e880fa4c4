//! What a name or a pattern of names means, and which names a misspelt one may stand for.

use crate::program::text::nearest;
use crate::subject::{Catalogue, Entry, Library, LibraryError};
use std::fmt;

/// The subject with this name, ready to run.
///
/// # Errors
///
/// No subject has the name, or its library cannot be loaded.
pub fn find(name: &str, catalogue: &dyn Catalogue, library: &Library) -> Result<Entry, SelectError> {
    if let Some(found) = catalogue.find(name, library).map_err(SelectError::Load)? {
        return Ok(found);
    }
    let known = catalogue.list(library).map_err(SelectError::Load)?;
    let names: Vec<&str> = known.iter().map(|it| it.subject.name()).collect();
    Err(SelectError::UnknownSubject { name: name.to_owned(), near: near(name, &names) })
}

/// The `names` that at least one pattern matches; all names if there are no patterns. `what`: what they are names of.
pub(super) fn matching<'a>(
    what: &'static str,
    patterns: &[String],
    names: &[&'a str],
) -> Result<Vec<&'a str>, SelectError> {
    for pattern in patterns {
        if !names.iter().any(|name| matches(pattern, name)) {
            return Err(SelectError::NothingMatches { what, pattern: pattern.clone(), near: near(pattern, names) });
        }
    }
    let chosen = |name: &&&str| patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name));
    Ok(names.iter().filter(chosen).copied().collect())
}

/// Why nothing was selected.
#[derive(Debug)]
#[non_exhaustive]
pub enum SelectError {
    /// A pattern matches nothing.
    NothingMatches {
        /// `subject` or `engine`.
        what: &'static str,
        /// The pattern.
        pattern: String,
        /// Names that may be meant.
        near: Vec<String>,
    },
    /// No subject has this name.
    UnknownSubject {
        /// The name.
        name: String,
        /// Names that may be meant.
        near: Vec<String>,
    },
    /// The C library cannot be loaded.
    Load(LibraryError),
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

impl std::error::Error for SelectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SelectError::Load(error) => error.source(),
            _ => None,
        }
    }
}

/// Whether a pattern matches a whole name. `*` stands for any characters, `?` for one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The last `*` first takes nothing. After a mismatch it takes one character more, and matching goes on from here.
    let (mut p, mut n, mut retry) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((after, from)) = retry else { return false };
                (p, n, retry) = (after, from + 1, Some((after, from + 1)));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// At most three names that `word` may be a misspelling of: the nearest names, if they are near.
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
        // A third of the word may be wrong, but no more than four letters of it.
        assert_eq!(near("rigistre/wait", &names), ["registry/waits"]);
        assert!(near("rigistre/wxxt", &names).is_empty());
        assert!(near("xy", &["ab"]).is_empty());
        assert!(near("", &names).is_empty());
    }
}
