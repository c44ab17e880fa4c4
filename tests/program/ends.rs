//! Generated programs end: on a sound subject, no order of events makes a generated program wait in a circle or run for
//! ever. Otherwise the engines would blame subjects for what the program did.
//!
//! The subject here is minimal and takes one step at a time. The scheduler chooses threads at random. The subject is as
//! unhelpful as a sound subject may be: whatever may wait, in the registry or in the library, does wait.

use std::collections::VecDeque;

use latecall::program::generate::{Domain, strategy};
use latecall::program::{CallbackId, GateId, Hostile, Op, Program, Step, Verb, VerbSet};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// What a thread does next. A thread's list holds its moves in reverse order.
#[derive(Debug, Clone)]
enum Move {
    Op(Op),
    /// The library calls: the callback is entered if it is live.
    Enter(usize),
    Leave(usize),
    /// Waits until no other thread is in the callback.
    Quiet(usize),
    /// Waits until the queue is empty and the library's threads are idle.
    Drained,
    /// Waits until the delivery has been made.
    Delivered(usize),
    /// Marks the delivery as made.
    Deliver(usize),
    /// Waits until these threads have nothing to do.
    Idle(Vec<usize>),
}

/// What a sound subject may choose.
#[derive(Debug, Clone, Copy)]
struct Manners {
    /// A second call of an exclusive callback waits for the first, instead of being refused.
    serialises: bool,
    /// `revoke_and_wait` waits for the queue as well, except on the library's threads.
    drains: bool,
    /// `revoke_and_wait` waits even if the callback was revoked before.
    waits_again: bool,
}

struct Run<'a> {
    program: &'a Program,
    manners: Manners,
    dice: u64,
    /// The main thread, the program's threads, two threads of the library, then the threads of concurrent calls.
    threads: Vec<Vec<Move>>,
    live: Vec<bool>,
    subscribed: Vec<bool>,
    calls: Vec<u32>,
    /// For each callback, the threads that are in it: one entry for each frame.
    frames: Vec<Vec<usize>>,
    open: Vec<bool>,
    /// Gates at which the next calls are held.
    stalls: Vec<GateId>,
    queue: VecDeque<(usize, usize)>,
    delivered: Vec<bool>,
    deepest: usize,
}

impl<'a> Run<'a> {
    fn new(program: &'a Program, manners: Manners, seed: u64) -> Self {
        let callbacks = program.callbacks.len();
        Run {
            program,
            manners,
            dice: seed,
            threads: vec![Vec::new(); 3 + program.threads.len()],
            live: vec![false; callbacks],
            subscribed: vec![false; callbacks],
            calls: vec![0; callbacks],
            frames: vec![Vec::new(); callbacks],
            open: vec![false; program.gates.len()],
            stalls: Vec::new(),
            queue: VecDeque::new(),
            delivered: Vec::new(),
            deepest: 0,
        }
    }

    fn roll(&mut self, n: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) as usize % n
    }

    fn hostile(&self, hostile: Hostile) -> bool {
        self.program.hostile.contains(&hostile)
    }

    fn is_worker(&self, thread: usize) -> bool {
        let first = 1 + self.program.threads.len();
        (first..first + 2).contains(&thread)
    }

    /// Runs the program. Returns how many times `hold` or `reach` had to give up.
    fn run(&mut self) -> Result<usize, String> {
        let mut gave_up = 0;
        self.steps(0, &self.program.before);
        gave_up += self.settle()?;
        for (i, thread) in self.program.threads.iter().enumerate() {
            self.steps(1 + i, thread);
        }
        gave_up += self.settle()?;
        self.steps(0, &self.program.after);
        gave_up += self.settle()?;
        let all = (0..self.live.len()).map(Move::Enter).collect::<Vec<_>>();
        if self.hostile(Hostile::FireOnClose) || self.hostile(Hostile::FireAtexit) {
            self.threads[0].extend(all.clone());
        }
        if self.hostile(Hostile::FireTlsDestructor) {
            let first = 1 + self.program.threads.len();
            self.threads[first].extend(all.clone());
            self.threads[first + 1].extend(all);
        }
        Ok(gave_up + self.settle()?)
    }

    fn steps(&mut self, thread: usize, steps: &[Step]) {
        self.threads[thread].extend(steps.iter().rev().map(|step| Move::Op(step.op.clone())));
    }

    /// Moves threads in random order until no thread has a move left.
    fn settle(&mut self) -> Result<usize, String> {
        let mut gave_up = 0;
        for _ in 0..5000 {
            let can: Vec<usize> = (0..self.threads.len()).filter(|thread| self.can_move(*thread)).collect();
            if !can.is_empty() {
                let thread = can[self.roll(can.len())];
                self.go(thread);
                continue;
            }
            let waiting: Vec<usize> = (0..self.threads.len()).filter(|i| !self.threads[*i].is_empty()).collect();
            if waiting.is_empty() {
                return Ok(gave_up);
            }
            let at_gate = |i: &usize| matches!(self.threads[*i].last(), Some(Move::Op(Op::Hold(_) | Op::Reach(_))));
            let Some(patient) = waiting.iter().copied().find(at_gate) else {
                let state: Vec<_> = waiting.iter().map(|i| (i, &self.threads[*i])).collect();
                return Err(format!("deadlock: {state:?}, in callbacks: {:?}", self.frames));
            };
            self.threads[patient].pop();
            gave_up += 1;
        }
        Err("it does not end".to_owned())
    }

    fn can_move(&self, thread: usize) -> bool {
        let Some(next) = self.threads[thread].last() else {
            return self.is_worker(thread) && !self.queue.is_empty();
        };
        match next {
            Move::Quiet(k) => self.frames[*k].iter().all(|other| *other == thread),
            Move::Drained => {
                let first = 1 + self.program.threads.len();
                self.queue.is_empty() && (first..first + 2).all(|i| i == thread || self.threads[i].is_empty())
            }
            Move::Delivered(job) => self.delivered[*job],
            Move::Idle(others) => others.iter().all(|i| self.threads[*i].is_empty()),
            Move::Op(Op::Hold(gate)) => self.open[gate.0 as usize],
            Move::Op(Op::Reach(gate)) => {
                let held = |moves: &Vec<Move>| matches!(moves.last(), Some(Move::Op(Op::Hold(at))) if at == gate);
                self.open[gate.0 as usize] || self.threads.iter().any(held)
            }
            Move::Enter(k) if self.manners.serialises && self.program.callbacks[*k].exclusive => {
                self.frames[*k].is_empty() || self.frames[*k].contains(&thread)
            }
            _ => true,
        }
    }

    fn go(&mut self, thread: usize) {
        let Some(next) = self.threads[thread].pop() else {
            if let Some((job, k)) = self.queue.pop_front() {
                self.threads[thread].extend([Move::Deliver(job), Move::Enter(k)]);
            }
            return;
        };
        match next {
            Move::Op(op) => self.op(thread, op),
            Move::Enter(k) => self.enter(thread, k),
            Move::Leave(k) => {
                let place = self.frames[k].iter().rposition(|other| *other == thread).expect("a frame to leave");
                self.frames[k].remove(place);
            }
            Move::Deliver(job) => self.delivered[job] = true,
            Move::Quiet(_) | Move::Drained | Move::Delivered(_) | Move::Idle(_) => {}
        }
    }

    fn enter(&mut self, thread: usize, k: usize) {
        let callback = &self.program.callbacks[k];
        if !self.live[k] || (callback.exclusive && !self.frames[k].is_empty()) {
            return;
        }
        self.frames[k].push(thread);
        self.calls[k] += 1;
        let depth = self.frames.iter().flatten().filter(|other| **other == thread).count();
        self.deepest = self.deepest.max(depth);
        self.threads[thread].push(Move::Leave(k));
        let steps: Vec<Step> =
            callback.body.iter().filter(|step| step.nth.is_none_or(|nth| nth == self.calls[k])).cloned().collect();
        self.steps(thread, &steps);
        if let Some(gate) = self.stalls.pop() {
            self.threads[thread].push(Move::Op(Op::Hold(gate)));
        }
    }

    /// The library fires: once or twice, and perhaps on two other threads, for which it waits.
    fn call(&mut self, thread: usize, k: usize) {
        let mut target = k;
        if self.hostile(Hostile::WrongUserData) && self.roll(2) == 0 {
            target = self.roll(self.live.len());
        }
        if self.hostile(Hostile::Concurrent) {
            let first = self.threads.len();
            self.threads.extend([vec![Move::Enter(target)], vec![Move::Enter(target)]]);
            self.threads[thread].push(Move::Idle(vec![first, first + 1]));
        }
        self.threads[thread].push(Move::Enter(target));
        if self.hostile(Hostile::Twice) {
            self.threads[thread].push(Move::Enter(target));
        }
    }

    fn post(&mut self, k: CallbackId) -> usize {
        self.delivered.push(false);
        self.queue.push_back((self.delivered.len() - 1, k.0 as usize));
        self.delivered.len() - 1
    }

    /// Revokes, and waits unless the callback was revoked before.
    fn revoke_and_wait(&mut self, thread: usize, k: usize) {
        if std::mem::replace(&mut self.live[k], false) || self.manners.waits_again {
            if self.manners.drains && thread <= self.program.threads.len() {
                self.threads[thread].push(Move::Drained);
            }
            self.threads[thread].push(Move::Quiet(k));
        }
    }

    fn scope(&mut self, thread: usize, k: usize, calls: usize) {
        self.live[k] = true;
        self.threads[thread].push(Move::Op(Op::RevokeAndWait(CallbackId(k as u8))));
        for _ in 0..calls {
            self.call(thread, k);
        }
    }

    fn op(&mut self, thread: usize, op: Op) {
        match op {
            Op::Register(ids) => {
                for id in ids {
                    self.live[id.0 as usize] = true;
                    self.subscribed[id.0 as usize] = true;
                }
            }
            Op::Replace(old, new) => {
                self.live[old.0 as usize] = false;
                self.live[new.0 as usize] = true;
                self.subscribed[new.0 as usize] = true;
            }
            Op::Invoke(k, _) => self.scope(thread, k.0 as usize, 1),
            Op::Enumerate(k, n) => self.scope(thread, k.0 as usize, n as usize),
            Op::Fire(k, _) => self.call(thread, k.0 as usize),
            Op::Send(k, _) => {
                let job = self.post(k);
                self.threads[thread].push(Move::Delivered(job));
            }
            Op::Post(k, _) => drop(self.post(k)),
            Op::Revoke(k) => self.live[k.0 as usize] = false,
            Op::RevokeAndWait(k) | Op::Release(k) => self.revoke_and_wait(thread, k.0 as usize),
            Op::Unsubscribe(k) => {
                if std::mem::replace(&mut self.subscribed[k.0 as usize], false) {
                    self.threads[thread].push(Move::Quiet(k.0 as usize));
                }
            }
            Op::Barrier => self.threads[thread].push(Move::Drained),
            Op::Shutdown => {
                self.threads[thread].push(Move::Drained);
                (0..self.live.len()).for_each(|k| self.revoke_and_wait(thread, k));
            }
            Op::Open(gate) => self.open[gate.0 as usize] = true,
            Op::Stall(_, gate) => self.stalls.push(gate),
            Op::Panic | Op::Return(_) => {
                while self.threads[thread].last().is_some_and(|next| !matches!(next, Move::Leave(_))) {
                    self.threads[thread].pop();
                }
            }
            Op::Forget(_) | Op::Churn(_) | Op::Hold(_) | Op::Reach(_) => {}
            other => panic!("this subject does not know {other:?}"),
        }
    }
}

#[test]
fn no_generated_program_deadlocks_or_runs_for_ever() {
    let few =
        [Verb::Register, Verb::Fire, Verb::Post, Verb::Revoke, Verb::RevokeAndWait, Verb::Release, Verb::Exclusive];
    let least = [Verb::Register, Verb::Fire, Verb::RevokeAndWait];
    // Bodies that wait and call are more frequent if the domain has little else.
    let domain = |verbs: &[Verb], hostile: &[Hostile]| {
        let mut domain = Domain::everything();
        domain.verbs = VerbSet::of(verbs);
        domain.hostile = hostile.to_vec();
        domain.max_callbacks = 3;
        domain
    };
    let mut long = Domain::everything();
    long.max_steps = 24;
    let domains = [
        long,
        domain(&few, &[]),
        domain(&few, &[Hostile::Concurrent, Hostile::WrongUserData]),
        domain(&least, &[]),
        domain(&least, &[Hostile::Concurrent]),
    ];
    let (mut gave_up, mut deepest, mut waiting_bodies) = (0, 0, 0);
    let programs = 10_000;
    for domain in domains {
        let config = Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() };
        let (mut runner, strategy) = (TestRunner::new(config), strategy(domain));
        for seed in 0..programs {
            let program = strategy.new_tree(&mut runner).unwrap().current();
            let waits = |step: &Step| matches!(step.op, Op::RevokeAndWait(_) | Op::Release(_) | Op::Unsubscribe(_));
            waiting_bodies += usize::from(program.callbacks.iter().any(|callback| callback.body.iter().any(waits)));
            for manners in 0..4 {
                let seed = seed * 4 + manners;
                let manners = Manners { serialises: manners > 0, drains: manners == 2, waits_again: manners == 3 };
                let mut run = Run::new(&program, manners, seed);
                match run.run() {
                    Ok(times) => gave_up += times,
                    Err(why) => panic!("{why}\n{manners:?}\n{program}"),
                }
                deepest = deepest.max(run.deepest);
            }
        }
    }
    // The runs reach the situations that the rules are about, and seldom wait for a gate in vain.
    assert!((3..=4).contains(&deepest), "{deepest} deep");
    assert!(waiting_bodies > 1000, "{waiting_bodies} programs with a body that waits");
    assert!(gave_up < 20 * programs as usize / 5, "{gave_up} gates given up");
}

#[test]
fn the_judge_of_this_file_sees_a_deadlock_and_an_endless_program() {
    let judge = |text: &str| {
        let program = Program::parse(text).unwrap();
        let manners = Manners { serialises: false, drains: false, waits_again: false };
        (0..50).find_map(|seed| Run::new(&program, manners, seed).run().err())
    };
    let circle = "callback a\n  revoke_and_wait b\ncallback b\n  revoke_and_wait a\nbefore\n  register a b\n\
                  thread\n  fire a\nthread\n  fire b\n";
    assert!(judge(circle).unwrap().starts_with("deadlock"));
    assert!(judge("callback a\n  fire a\nbefore\n  register a\n  fire a\n").unwrap().starts_with("it does not end"));
    assert_eq!(
        judge("callback a\n  revoke_and_wait a\nbefore\n  register a\nthread\n  fire a\nthread\n  fire a\n"),
        None
    );
}
