//! The numbers of threads, and the order in which threads take turns.

use std::collections::HashMap;

/// The numbers of threads, which are the same in each run: the nth thread that a thread spawns has one.
#[derive(Debug)]
pub(crate) struct Names {
    numbers: HashMap<(u32, u32), u32>,
    /// By number: the way from the main thread to this one.
    paths: Vec<Vec<u32>>,
    /// By number: the place in the order of paths. Threads take turns in this order, which does not depend on which
    /// thread was met first.
    ranks: Vec<usize>,
}

impl Names {
    /// The main thread, which is 0.
    pub(crate) fn new() -> Self {
        Self { numbers: HashMap::new(), paths: vec![Vec::new()], ranks: vec![0] }
    }

    /// The number of the `nth` thread that `parent` spawns.
    pub(crate) fn child(&mut self, parent: u32, nth: u32) -> u32 {
        if let Some(number) = self.numbers.get(&(parent, nth)) {
            return *number;
        }
        let number = self.paths.len() as u32;
        self.numbers.insert((parent, nth), number);
        let mut path = self.paths[parent as usize].clone();
        path.push(nth);
        self.paths.push(path);
        let mut sorted: Vec<usize> = (0..self.paths.len()).collect();
        sorted.sort_by(|a, b| self.paths[*a].cmp(&self.paths[*b]));
        self.ranks = vec![0; sorted.len()];
        for (rank, thread) in sorted.into_iter().enumerate() {
            self.ranks[thread] = rank;
        }
        number
    }

    /// The thread's place in the order of turns.
    pub(crate) fn rank(&self, thread: u32) -> usize {
        self.ranks[thread as usize]
    }
}
