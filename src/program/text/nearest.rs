//! Suggestions for a misspelt word: the nearest candidate by edit distance.

/// Longer words are not misspelt words of the language.
const LONGEST: usize = 24;

/// "did you mean …?" if `word` is one of `candidates` with a slip of the keyboard.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST {
        return None;
    }
    // A third of the word may be wrong: `fier` means `fire`, and `x` means nothing in particular.
    let most = word.len().div_ceil(3).min(3);
    let (distance, candidate) =
        candidates.into_iter().map(|c| (distance(&word, c), c)).min_by_key(|(distance, _)| *distance)?;
    (distance <= most && distance < word.len()).then(|| format!("did you mean `{candidate}`?"))
}

/// The least number of insertions, deletions and replacements of one character, and of swaps of neighbours, that turn
/// `from` into `to`.
pub(crate) fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replace = last[j] + usize::from(a != b);
            let mut least = replace.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_guess_is_not_made() {
        let verbs = ["fire", "revoke", "revoke_and_wait", "hold"];
        let meant = |word: &str| did_you_mean(word, verbs);
        assert_eq!(meant("fier").unwrap(), "did you mean `fire`?");
        assert_eq!(meant("revok").unwrap(), "did you mean `revoke`?");
        assert_eq!(meant("revoke_wait"), None);
        assert_eq!(meant("revoke_andwait").unwrap(), "did you mean `revoke_and_wait`?");
        assert_eq!(meant("x"), None);
        assert_eq!(meant(""), None);
        assert_eq!(meant(&"f".repeat(1000)), None);
        // A word of one letter is never a slip, and neither is one of more than 24 letters.
        assert_eq!(did_you_mean("f", ["g"]), None);
        assert_eq!(did_you_mean(&"f".repeat(25), [&*"f".repeat(24)]), None);
        assert!(did_you_mean(&"f".repeat(24), [&*"f".repeat(23)]).is_some());
    }

    #[test]
    fn the_distance_counts_edits_of_one_character() {
        let far = |from: &str, to| distance(&from.chars().collect::<Vec<_>>(), to);
        assert_eq!(far("", ""), 0);
        assert_eq!(far("", "abc"), 3);
        assert_eq!(far("abc", ""), 3);
        assert_eq!(far("abc", "abc"), 0);
        assert_eq!(far("abc", "axc"), 1, "a replacement");
        assert_eq!(far("abc", "abxc"), 1, "an insertion");
        assert_eq!(far("abxc", "abc"), 1, "a deletion");
        assert_eq!(far("abc", "bac"), 1, "a swap");
        assert_eq!(far("abcd", "badc"), 2, "two swaps");
        assert_eq!(far("kitten", "sitting"), 3);
    }
}
