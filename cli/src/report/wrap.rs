//! Paragraphs: words that fill lines.

/// Breaks `text` into lines of at most `width` columns, each but the first after `indent`. A word that is longer than a
/// line stands alone.
pub(crate) fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            out.push_str(indent);
            column = indent.chars().count();
        } else if column > 0 {
            out.push(' ');
            column += 1;
        } else if out.is_empty() && text.starts_with(' ') {
            // The first line's own indentation.
            let blanks = text.len() - text.trim_start_matches(' ').len();
            out.push_str(&text[..blanks]);
            column = blanks;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_are_filled_and_not_more() {
        assert_eq!(wrap("aa bb cc", 5, "  "), "aa bb\n  cc");
        assert_eq!(wrap("  aa bb cc", 7, "    "), "  aa bb\n    cc");
        assert_eq!(wrap("a muchtoolong b", 4, ""), "a\nmuchtoolong\nb");
        assert_eq!(wrap("", 5, ""), "");
    }
}
