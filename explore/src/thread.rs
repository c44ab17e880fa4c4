//! Threads of code that [`executions::explore`](crate::executions::explore) explores.

use crate::executions::{Entry, Request, ask};
use std::cell::RefCell;
use std::rc::Rc;

/// A thread that was spawned. Dropping it lets the thread go on by itself.
#[derive(Debug)]
pub struct JoinHandle<T> {
    thread: u32,
    result: Rc<RefCell<Option<T>>>,
}

/// As `std::thread::spawn`, but `f` need not be `Send`: all threads of a program run on one thread of the machine. A
/// panic of the thread ends the search, with a finding.
#[track_caller]
pub fn spawn<T: 'static>(f: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    let result = Rc::new(RefCell::new(None));
    let shared = Rc::clone(&result);
    let body = move || *shared.borrow_mut() = Some(f());
    let thread = ask(Request::Spawn(Entry(Box::new(body)))) as u32;
    JoinHandle { thread, result }
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended, and returns what its function returned.
    #[track_caller]
    pub fn join(self) -> T {
        ask(Request::Join(self.thread));
        self.result.borrow_mut().take().expect("a thread that has ended without a panic has a result")
    }
}
