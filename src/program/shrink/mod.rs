//! Shrinking: from a program that fails to a small program that still fails.
//!
//! This is greedy delta debugging on the structure of programs. [`minimise`] tries the edits of the current program
//! (`edits`), the largest first. It keeps each result that costs less (`cost`) and still fails. It repeats that until
//! no single edit helps or no try is left. Every kept edit lowers the cost, so the search ends. Nothing is random: the
//! same program, judged in the same way, gives the same result.
//!
//! If the original program ends on a sound subject, so does the minimised one: no edit makes a body call or wait more
//! often than before. The failure is then still the subject's fault, and not one of an edit.
//!
//! Elsewhere: what failing means. If a failure does not happen in every run, `still_fails` should try more than once.
//! It should ask for the same violation, or the search may turn to a different one.

mod cost;
mod edits;

use super::canonical::{number_gates, tidy};
use super::{Program, validate};
use cost::cost;
use edits::{Edit, Group};

/// How much work [`minimise`] may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Maximum number of programs that `still_fails` is asked about.
    pub most: usize,
}

/// The smallest failing program found, tidied. Returns `program` itself, unchanged, if no smaller program fails.
///
/// `program` must be valid and must fail; it is not tried again. Every program that `still_fails` is asked about is
/// valid. A changed program is returned only if `still_fails` returned true for it.
#[must_use]
pub fn minimise(program: &Program, still_fails: &mut dyn FnMut(&Program) -> bool, tries: Tries) -> Program {
    // One try is kept for the tidied result.
    let mut search = Search { best: program.clone(), still_fails, tries: tries.most.saturating_sub(1) };
    search.ask(tidy(program));
    while search.round() {}
    if tries.most > 0 {
        search.tries += 1;
        search.ask(tidy(&search.best));
    }
    search.best
}

struct Search<'a> {
    /// The cheapest failing program so far.
    best: Program,
    still_fails: &'a mut dyn FnMut(&Program) -> bool,
    /// How often `still_fails` may still be asked.
    tries: usize,
}

impl Search<'_> {
    /// Tries every edit of every group. Returns whether another round may help.
    fn round(&mut self) -> bool {
        let mut helped = false;
        for group in Group::ALL {
            let mut edits = group.edits(&self.best);
            let mut next = 0;
            while let Some(edit) = edits.get(next) {
                if self.tries == 0 {
                    return false;
                }
                if self.edit(*edit) {
                    // `next` stays: in the edits of the new program it stands for the next place.
                    helped = true;
                    edits = group.edits(&self.best);
                } else {
                    next += 1;
                }
            }
        }
        helped
    }

    /// Keeps the edited program if it costs less and still fails.
    fn edit(&mut self, edit: Edit) -> bool {
        let Some(mut candidate) = edit.apply(&self.best) else { return false };
        number_gates(&mut candidate);
        cost(&candidate) < cost(&self.best) && self.ask(candidate)
    }

    /// Keeps `candidate` if it differs from the best program, is valid, and fails.
    fn ask(&mut self, candidate: Program) -> bool {
        if candidate == self.best || self.tries == 0 || validate(&candidate).is_err() {
            return false;
        }
        self.tries -= 1;
        let fails = (self.still_fails)(&candidate);
        if fails {
            self.best = candidate;
        }
        fails
    }
}
