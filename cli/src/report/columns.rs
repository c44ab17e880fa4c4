//! Timelines with a column for each thread, as the explorer makes them, laid out anew for a width.

use std::fmt::Write;

const BETWEEN: &str = " | ";
/// No column becomes narrower than this; a timeline with many threads then gets wider than asked for.
const NARROWEST: usize = 12;

/// The rows, each as one or more lines of at most `width` columns. Rows without columns are wrapped. The first line of
/// a row is the row's own; the others continue it.
pub(super) fn fitted(rows: &[String], width: usize) -> Vec<Vec<String>> {
    let count = rows.first().map_or(1, |heading| heading.matches(BETWEEN).count() + 1);
    if count == 1 {
        return rows.iter().map(|row| wrapped(row, width)).collect();
    }
    // A row whose last cell is empty may end with its bar.
    let padded: Vec<String> = rows.iter().map(|row| format!("{row} ")).collect();
    let cells: Vec<Vec<&str>> =
        padded.iter().map(|row| row.splitn(count, BETWEEN).map(str::trim_end).collect()).collect();
    let natural = |at: usize| cells.iter().filter_map(|row| row.get(at)).map(|cell| length(cell)).max().unwrap_or(0);
    let widths =
        shared(&(0..count).map(natural).collect::<Vec<_>>(), width.saturating_sub(BETWEEN.len() * (count - 1)));
    cells.iter().map(|row| lines(row, &widths)).collect()
}

/// The widths of columns that want `natural` and have `room` together: columns that want less than their share keep
/// what they want, and the others share the rest.
fn shared(natural: &[usize], room: usize) -> Vec<usize> {
    let mut widths = vec![0; natural.len()];
    let mut open: Vec<usize> = (0..natural.len()).collect();
    let mut left = room;
    while !open.is_empty() {
        let share = (left / open.len()).max(NARROWEST);
        let content: Vec<usize> = open.iter().copied().filter(|at| natural[*at] <= share).collect();
        if content.is_empty() {
            open.iter().for_each(|at| widths[*at] = share);
            break;
        }
        for at in content {
            widths[at] = natural[at];
            left = left.saturating_sub(natural[at]);
            open.retain(|it| *it != at);
        }
    }
    widths
}

fn lines(row: &[&str], widths: &[usize]) -> Vec<String> {
    let cells: Vec<Vec<String>> = row.iter().zip(widths).map(|(cell, width)| wrapped(cell, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(1);
    (0..height)
        .map(|at| {
            let mut line = String::new();
            for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                let text = cell.get(at).map_or("", String::as_str);
                let between = if column == 0 { "" } else { BETWEEN };
                let _ = write!(line, "{between}{text:<width$}");
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// One line of text, broken after words into lines of at most `width` columns. Lines after the first are indented two
/// columns deeper than the first. A word that is longer than a line is broken; spaces within a line stay as they are.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let text = text.trim_end();
    let indent = length(text) - length(text.trim_start());
    let hang = " ".repeat((indent + 2).min(width.saturating_sub(1)));
    let mut out = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    while rest.len() > width.max(1) {
        // Breaks at the last space that directly follows a word which ends within the width.
        let start = if out.is_empty() { indent } else { hang.len() };
        let space = (start + 1..=width).rev().find(|at| rest[*at] == ' ' && rest[at - 1] != ' ');
        let tail = rest.split_off(space.unwrap_or(width.max(start + 1)));
        out.push(rest.into_iter().collect::<String>());
        rest = hang.chars().chain(tail.into_iter().skip_while(|it| *it == ' ')).collect();
    }
    out.push(rest.into_iter().collect());
    out
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_fit_stay_as_they_are() {
        let rows = ["main   | thread 1", "a b c  |", "       | d"].map(String::from);
        assert_eq!(fitted(&rows, 80), [["main  | thread 1"], ["a b c |"], ["      | d"]]);
    }

    #[test]
    fn wide_columns_share_the_room_and_narrow_ones_keep_theirs() {
        assert_eq!(shared(&[4, 50, 60], 60), [4, 28, 28]);
        assert_eq!(shared(&[10, 10], 60), [10, 10]);
        assert_eq!(shared(&[100, 100], 3), [NARROWEST, NARROWEST]);
    }

    #[test]
    fn words_are_wrapped_and_long_ones_broken() {
        assert_eq!(wrapped("  one two three", 10), ["  one two", "    three"]);
        assert_eq!(wrapped("abcdefghijkl", 5), ["abcde", "  fgh", "  ijk", "  l"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn no_line_is_longer_than_the_width() {
        let rows = [
            "main                                   | the thread that calls",
            "locks a mutex that has a name | waits (file.c:12)",
        ]
        .map(String::from);
        for width in 30..60 {
            assert!(fitted(&rows, width).iter().flatten().all(|line| length(line) <= width), "{width}");
        }
    }
}
