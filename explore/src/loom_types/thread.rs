//! Threads: loom's, but for how one waits for the end of another.

use crate::std_types::{Arc, Mutex, MutexGuard};
use crate::trace;
use crate::{is_over, thread_number};
pub use loom::thread::{Builder, Thread, ThreadId, current};
use std::sync::PoisonError;

/// `loom::thread::JoinHandle`. The end of a thread and the wait for it are operations on one object there, of which either
/// comes first: nearly twice as many interleavings for each thread, that differ in nothing. Where repeats are left, who joins
/// parks instead.
#[derive(Debug)]
pub struct JoinHandle<T> {
    loom: loom::thread::JoinHandle<()>,
    end: Arc<Mutex<End<T>>>,
}

#[derive(Debug)]
struct End<T> {
    value: Option<T>,
    joiner: Option<Thread>,
}

loom::lazy_static! {
    static ref END_0: () = ();
    static ref END_1: () = ();
    static ref END_2: () = ();
    static ref END_3: () = ();
    static ref END_4: () = ();
}

/// What a thread did before its first call of this with `number` happens before what others do after theirs: a lazy
/// static of loom's orders that, and is no operation. There are none any more once the closure under search has returned;
/// who then joins does it loom's way, or has been unparked, which orders as much.
fn in_order(number: usize) {
    match number {
        0 => *END_0,
        1 => *END_1,
        2 => *END_2,
        3 => *END_3,
        4 => *END_4,
        _ => unreachable!("loom has five threads"),
    }
}

fn whole<T>(end: &Mutex<End<T>>) -> MutexGuard<'_, End<T>> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let end = Arc::new(Mutex::new(End { value: None, joiner: None }));
    let ends = Arc::clone(&end);
    let loom = super::op(|| {
        loom::thread::spawn(move || {
            trace::went_on(0);
            let value = f();
            if !is_over() {
                in_order(thread_number(current().id()));
            }
            let joiner = {
                let mut end = whole(&ends);
                end.value = Some(value);
                end.joiner.take()
            };
            super::ends();
            joiner.iter().for_each(Thread::unpark);
        })
    });
    if trace::is_kept() {
        let child = thread_number(loom.thread().id());
        trace::spawned(child);
    }
    JoinHandle { loom, end }
}

#[track_caller]
pub fn park() {
    super::guarded(loom::thread::park);
    trace::went_on(1);
}

#[track_caller]
pub fn yield_now() {
    super::op(loom::thread::yield_now);
    trace::yielded();
}

impl<T> JoinHandle<T> {
    /// The value; a panic of the thread's ends the interleaving.
    #[track_caller]
    pub fn join(self) -> std::thread::Result<T> {
        if !trace::leaves() || is_over() {
            let child = trace::is_kept().then(|| thread_number(self.loom.thread().id()));
            super::op(|| self.loom.join())?;
            child.into_iter().for_each(trace::joined);
            let value = whole(&self.end).value.take();
            return Ok(value.expect("a thread that ended without a value took the interleaving with it"));
        }
        let child = thread_number(self.loom.thread().id());
        let value = loop {
            let mut end = whole(&self.end);
            if let Some(value) = end.value.take() {
                break value;
            }
            end.joiner = Some(current());
            drop(end);
            trace::joins(child);
            // From here to where it parks no other thread runs.
            super::op(loom::thread::park);
        };
        if !is_over() {
            in_order(child);
        }
        trace::joined(child);
        Ok(value)
    }

    pub fn thread(&self) -> &Thread {
        self.loom.thread()
    }
}
