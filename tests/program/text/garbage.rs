//! Parsing any text ends, in time linear in its length, with a program or with an error at a place in the text.

use super::EXAMPLE;
use latecall::program::{Program, validate};

/// A generator of the same numbers in each run, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

/// Parses `text` and checks what must hold of every result.
fn survive(text: &str) {
    match Program::parse(text) {
        Ok(program) => {
            assert_eq!(validate(&program), Ok(()), "{text:?}");
            assert_eq!(Program::parse(&program.to_string()), Ok(program), "{text:?}");
        }
        Err(error) => {
            let line = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').nth(error.line() - 1);
            assert!(line.is_some_and(|line| error.column() <= line.chars().count() + 1), "{text:?}: {error}");
            assert!(error.to_string().len() < 2000, "{error}");
        }
    }
}

#[test]
fn garbage_gets_an_answer() {
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..dice.below(60)).map(|_| dice.below(256) as u8).collect();
        survive(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn mangled_programs_get_an_answer() {
    let mut dice = Dice(2);
    let pieces: Vec<String> = EXAMPLE.split_inclusive([' ', '\n', '(', ')']).map(str::to_owned).collect();
    let strange =
        ["\0", "=", "#", "\u{feff}", "é", "in_flight(", "nth ", "-9999999999999999999 ", "\r", "\t", "\u{2028}"];
    for _ in 0..20_000 {
        let mut text = pieces.clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(text.len());
            match dice.below(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, strange[dice.below(strange.len())].to_owned()),
                2 => text.insert(at, pieces[dice.below(pieces.len())].clone()),
                _ => text.swap(at, dice.below(pieces.len()).min(at)),
            }
        }
        survive(&text.concat());
    }
}

#[test]
fn huge_lines_and_many_lines_take_no_more_than_their_length() {
    let many = 1 << 20;
    let texts = [
        "a".repeat(8 * many),
        "=".repeat(8 * many),
        "#".repeat(8 * many),
        "\n".repeat(8 * many),
        "\u{0}".repeat(8 * many),
        "é ".repeat(many),
        "before\n".repeat(many),
        "callback a\n".repeat(many),
        (0..many / 4).map(|i| format!("callback a{i}\n")).collect(),
        format!("callback a\nbefore\n  register{}", " a".repeat(many)),
        format!("callback a\nbefore\n  fire a {}", "9".repeat(8 * many)),
        format!("callback {}\n", "a".repeat(8 * many)),
        format!("callback a\nbefore\n  register {}", "b".repeat(8 * many)),
        format!("before\n  open {}", "g".repeat(8 * many)),
        format!("thread\n{}", "  churn 1\n".repeat(many)),
        format!("subject {}", "s".repeat(8 * many)),
        "hostile late ".repeat(many),
    ];
    let start = std::time::Instant::now();
    for text in &texts {
        survive(text);
    }
    // Linear work on some 100 MB takes about a second; anything quadratic would take days.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
