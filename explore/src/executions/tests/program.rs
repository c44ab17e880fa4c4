//! Small programs without jumps, and how they are written.
//!
//! Threads are separated by `|`, instructions by spaces:
//!
//! | Written | Means |
//! | --- | --- |
//! | `x=1` `x?` | stores 1 to location `x`; loads from it |
//! | `x+1` `x<1` `x:0:1` | adds; exchanges; compare-exchanges 0 by 1 |
//! | `x!1` | waits until `x` is 1 |
//! | `x!1/y!2` | loads once from each, waits until one of these loads has what it waits for |
//! | `F` | fence |
//! | `(m` `)m` | locks and unlocks `m` |
//! | `?d` `=d` | reads and writes `d`, which is not atomic |
//!
//! An instruction's last letter is its order: `a` acquire, `r` release, `b` both, `s` sequentially consistent, none
//! relaxed.

use std::fmt::{self, Write as _};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Relaxed,
    Acquire,
    Release,
    AcqRel,
    SeqCst,
}

impl Mode {
    const LETTERS: [(Mode, &str); 5] =
        [(Mode::Relaxed, ""), (Mode::Acquire, "a"), (Mode::Release, "r"), (Mode::AcqRel, "b"), (Mode::SeqCst, "s")];

    pub(super) fn acquires(self) -> bool {
        matches!(self, Mode::Acquire | Mode::AcqRel | Mode::SeqCst)
    }

    pub(super) fn releases(self) -> bool {
        matches!(self, Mode::Release | Mode::AcqRel | Mode::SeqCst)
    }

    /// The order of a compare-exchange that fails.
    pub(super) fn without_release(self) -> Self {
        match self {
            Mode::Release => Mode::Relaxed,
            Mode::AcqRel => Mode::Acquire,
            other => other,
        }
    }
}

/// Locations, locks and cells are numbered apart, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    Load(usize, Mode),
    Store(usize, Mode, u64),
    Add(usize, Mode, u64),
    Swap(usize, Mode, u64),
    /// A compare-exchange, which fails with this order without its release.
    Compare(usize, Mode, u64, u64),
    Fence(Mode),
    /// Waits until one of the loads has found its value: `count` loads, of these locations and values.
    Await(Mode, usize, [(usize, u64); 3]),
    Lock(usize),
    Unlock(usize),
    PlainRead(usize),
    PlainWrite(usize),
}

impl Instruction {
    pub(super) fn await_one(place: usize, mode: Mode, value: u64) -> Self {
        Self::Await(mode, 1, [(place, value); 3])
    }

    pub(super) fn mode(&mut self) -> Option<&mut Mode> {
        use Instruction::*;
        match self {
            Load(_, mode) | Store(_, mode, _) | Add(_, mode, _) | Swap(_, mode, _) => Some(mode),
            Compare(_, mode, ..) | Fence(mode) | Await(mode, ..) => Some(mode),
            Lock(_) | Unlock(_) | PlainRead(_) | PlainWrite(_) => None,
        }
    }

    /// Whether a thread may wait at it for ever.
    pub(super) fn may_wait(&self) -> bool {
        matches!(self, Instruction::Await(..) | Instruction::Lock(_))
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Program(pub(super) Vec<Vec<Instruction>>);

/// What each thread reads, in its order. Each load, exchange and load of an await has an entry.
pub(super) type Outcome = Vec<Vec<u64>>;

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Mode::LETTERS.iter().find(|(mode, _)| mode == self).expect("each mode has a letter").1)
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Instruction::*;
        let name = |place: usize| char::from(b"xyzwvuts"[place]);
        let lock = |lock: usize| char::from(b"mn"[lock]);
        let cell = |cell: usize| char::from(b"de"[cell]);
        match *self {
            Load(place, mode) => write!(f, "{}?{mode}", name(place)),
            Store(place, mode, value) => write!(f, "{}={value}{mode}", name(place)),
            Add(place, mode, operand) => write!(f, "{}+{operand}{mode}", name(place)),
            Swap(place, mode, value) => write!(f, "{}<{value}{mode}", name(place)),
            Compare(place, mode, expected, new) => write!(f, "{}:{expected}:{new}{mode}", name(place)),
            Fence(mode) => write!(f, "F{mode}"),
            Await(mode, count, loads) => {
                for (nth, (place, value)) in loads[..count].iter().enumerate() {
                    write!(f, "{}{}!{value}", if nth == 0 { "" } else { "/" }, name(*place))?;
                }
                write!(f, "{mode}")
            }
            Lock(it) => write!(f, "({}", lock(it)),
            Unlock(it) => write!(f, "){}", lock(it)),
            PlainRead(it) => write!(f, "?{}", cell(it)),
            PlainWrite(it) => write!(f, "={}", cell(it)),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, thread) in self.0.iter().enumerate() {
            f.write_str(if nth == 0 { "" } else { " | " })?;
            for (nth, instruction) in thread.iter().enumerate() {
                f.write_str(if nth == 0 { "" } else { " " })?;
                instruction.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('`')?;
        fmt::Display::fmt(self, f)?;
        f.write_char('`')
    }
}

/// The names of one sort, numbered in the order in which they appear.
#[derive(Default)]
struct Names(Vec<char>);

impl Names {
    fn number(&mut self, name: char) -> usize {
        self.0.iter().position(|it| *it == name).unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        })
    }
}

impl Program {
    /// # Panics
    ///
    /// If `text` is not written as the module's documentation says.
    pub(super) fn new(text: &str) -> Self {
        let (mut places, mut locks, mut cells) = (Names::default(), Names::default(), Names::default());
        let mut instruction = |word: &str| {
            let last = |word: &str| word.chars().last().expect("a word");
            let first = word.chars().next().expect("a word");
            match first {
                '(' => return Instruction::Lock(locks.number(last(word))),
                ')' => return Instruction::Unlock(locks.number(last(word))),
                '?' => return Instruction::PlainRead(cells.number(last(word))),
                '=' => return Instruction::PlainWrite(cells.number(last(word))),
                _ => {}
            }
            let letter = last(&word[1..].replace(char::is_numeric, "")).to_string();
            let mode = Mode::LETTERS.iter().find(|it| it.1 == letter).map_or(Mode::Relaxed, |it| it.0);
            let word = word.strip_suffix(letter.as_str()).filter(|_| mode != Mode::Relaxed).unwrap_or(word);
            if word == "F" {
                return Instruction::Fence(mode);
            }
            let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{word}: a number instead of {text}"));
            let place = places.number(first);
            let rest = &word[2..];
            match &word[1..2] {
                "?" => Instruction::Load(place, mode),
                "=" => Instruction::Store(place, mode, number(rest)),
                "+" => Instruction::Add(place, mode, number(rest)),
                "<" => Instruction::Swap(place, mode, number(rest)),
                ":" => {
                    let (expected, new) = rest.split_once(':').expect("two values");
                    Instruction::Compare(place, mode, number(expected), number(new))
                }
                "!" => {
                    let loads: Vec<_> = word
                        .split('/')
                        .map(|load| (places.number(load.chars().next().expect("a load")), number(&load[2..])))
                        .collect();
                    let load = |nth: usize| loads[nth.min(loads.len() - 1)];
                    Instruction::Await(mode, loads.len(), std::array::from_fn(load))
                }
                other => panic!("{word}: {other} is no operation"),
            }
        };
        Self(text.split('|').map(|thread| thread.split_whitespace().map(&mut instruction).collect()).collect())
    }

    /// In how many ways reads may have sources and writes an order, before anything is judged.
    pub(super) fn candidates(&self) -> u64 {
        use Instruction::*;
        let (mut reads, mut writes) = ([0; 8], [0_u64; 8]);
        for instruction in self.0.iter().flatten() {
            match *instruction {
                Load(place, _) => reads[place] += 1,
                Store(place, ..) => writes[place] += 1,
                Add(place, ..) | Swap(place, ..) | Compare(place, ..) => {
                    reads[place] += 1;
                    writes[place] += 1;
                }
                Await(_, count, loads) => loads[..count].iter().for_each(|it| reads[it.0] += 1),
                Fence(_) | Lock(_) | Unlock(_) | PlainRead(_) | PlainWrite(_) => {}
            }
        }
        let of = |(reads, writes): (u32, u64)| (writes + 1).pow(reads) * (1..=writes).product::<u64>();
        reads.into_iter().zip(writes).map(of).product()
    }

    /// The smallest program that `differs`, of those that can be made from `self` by leaving out instructions and
    /// orders. `differs` holds for `self`.
    pub(super) fn smallest(&self, differs: impl Fn(&Self) -> bool) -> Self {
        let mut smallest = self.clone();
        'smaller: loop {
            for thread in 0..smallest.0.len() {
                for at in 0..smallest.0[thread].len() {
                    let mut shorter = smallest.clone();
                    shorter.0[thread].remove(at);
                    let mut weaker = smallest.clone();
                    if let Some(mode @ (Mode::Acquire | Mode::Release | Mode::AcqRel | Mode::SeqCst)) =
                        weaker.0[thread][at].mode()
                    {
                        *mode = Mode::Relaxed;
                    }
                    for candidate in [shorter, weaker] {
                        if candidate != smallest && candidate.is_valid() && differs(&candidate) {
                            smallest = candidate;
                            continue 'smaller;
                        }
                    }
                }
            }
            smallest.0.retain(|thread| !thread.is_empty());
            return smallest;
        }
    }

    /// Whether no fence is relaxed, and each thread locks and unlocks in turn.
    fn is_valid(&self) -> bool {
        self.0.iter().all(|thread| {
            let mut held = [false; 2];
            thread.iter().all(|instruction| match *instruction {
                Instruction::Fence(mode) => mode != Mode::Relaxed,
                Instruction::Lock(lock) => !std::mem::replace(&mut held[lock], true),
                Instruction::Unlock(lock) => std::mem::replace(&mut held[lock], false),
                _ => true,
            })
        })
    }
}

#[test]
fn programs_are_written_as_they_are_read() {
    for text in
        ["x=1r y?a | y+2b x<3s | x:0:1 y:1:0a", "x!1a x!1/y!2s x!1/y!1/z!2 | Fb Fs", "(m ?d )m | (n =d ?e )n (m )m"]
    {
        assert_eq!(Program::new(text).to_string(), text);
    }
}
