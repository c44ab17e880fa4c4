//! Which word was meant: the nearest of those that would do, by edit distance.

/// Longer words were not typed by a person who meant one of ours.
const LONGEST: usize = 24;

/// "did you mean …?" for a word that is one of `candidates` but for a slip; otherwise nothing.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let word: Vec<char> = word.chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST {
        return String::new();
    }
    // A third of the word may be wrong: `fier` means `fire`; `x` means nothing in particular.
    let most = word.len().div_ceil(3).min(3);
    let best = candidates.into_iter().map(|c| (distance(&word, c), c)).min_by_key(|(distance, _)| *distance);
    match best {
        Some((distance, candidate)) if distance <= most && distance < word.len() => {
            format!("did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}

/// How many single-character insertions, deletions, replacements and swaps of neighbours lead from one to the other.
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
        assert_eq!(did_you_mean("fier", verbs), "did you mean `fire`?");
        assert_eq!(did_you_mean("revok", verbs), "did you mean `revoke`?");
        assert_eq!(did_you_mean("revoke_wait", verbs), "");
        assert_eq!(did_you_mean("revoke_andwait", verbs), "did you mean `revoke_and_wait`?");
        assert_eq!(did_you_mean("x", verbs), "");
        assert_eq!(did_you_mean("", verbs), "");
        assert_eq!(did_you_mean(&"f".repeat(1000), verbs), "");
    }
}
