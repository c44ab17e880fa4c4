//! From a program that fails to the smallest one found that still does.
//!
//! Greedy delta debugging on the structure: [`minimise`] goes through the edits of the current program (`edits`), from the
//! largest to the smallest, keeps each result that costs less (`cost`) and still fails, and starts again until no
//! single edit helps or no try is left. Every kept edit lowers the cost, so it ends; nothing is left to chance, so
//! the same program, judged the same way, comes out the same.
//!
//! A minimised program ends on a sound subject if the program it came from does: no edit makes a body call or wait more
//! often than before, so that what is found is the subject's fault still, and not the edit's.
//!
//! Not here: what failing means. Where the failure is a matter of luck, `still_fails` should try more than once; and it
//! should ask for the *same* violation, or the search will slip to another one.

mod cost;
mod edits;

use super::canonical::{number_gates, tidy};
use super::{Program, validate};
use cost::cost;
use edits::{Edit, Kinds};

/// How much work [`minimise`] may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Most programs that `still_fails` is asked about.
    pub most: usize,
}

/// The smallest program found that still fails, tidied; `program` itself, unchanged, when nothing smaller fails.
///
/// `program` must be valid and is taken to fail: it is not tried again. Every program that `still_fails` sees is valid,
/// and a changed one is returned only if `still_fails` said yes to it.
#[must_use]
pub fn minimise(program: &Program, still_fails: &mut dyn FnMut(&Program) -> bool, tries: Tries) -> Program {
    // One try is kept for the tidied end.
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
    /// The cheapest program so far that fails.
    best: Program,
    still_fails: &'a mut dyn FnMut(&Program) -> bool,
    /// How often it may still be asked.
    tries: usize,
}

impl Search<'_> {
    /// Tries every edit of every kind, the large ones first; says whether to go on.
    fn round(&mut self) -> bool {
        let mut helped = false;
        for kinds in Kinds::ALL {
            let mut edits = kinds.of(&self.best);
            let mut next = 0;
            while let Some(edit) = edits.get(next) {
                if self.tries == 0 {
                    return false;
                }
                if self.edit(*edit) {
                    // The edits of what is left; the same number is now the next place.
                    helped = true;
                    edits = kinds.of(&self.best);
                } else {
                    next += 1;
                }
            }
        }
        helped
    }

    fn edit(&mut self, edit: Edit) -> bool {
        let Some(mut candidate) = edit.apply(&self.best) else { return false };
        number_gates(&mut candidate);
        cost(&candidate) < cost(&self.best) && self.ask(candidate)
    }

    /// Takes this program when it is another one, valid, and fails as well.
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
