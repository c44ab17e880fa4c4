//! What each thread of a program does.

use super::sync::{OutsideArc, catch};
use super::{Run, ThreadToken, ops};
use crate::engine::run::RunError;
use crate::ledger::log;
use crate::ledger::{EventKind, Section, StepId, ThreadNo};
use crate::program::Step;

impl Run {
    /// The main thread: `before`, the program's threads, `after`, the end of the session.
    ///
    /// A thread lets go of the run before it gives its token back. So when all tokens are back, only the thread that
    /// conducts the run still holds it.
    pub(crate) fn main(self: OutsideArc<Self>, token: ThreadToken) {
        self.on_thread(ThreadNo::MAIN, || {
            self.section(ThreadNo::MAIN, Section::Before, &self.program.before);
            let threads = (0..self.program.threads.len()).map(|i| OutsideArc::clone(&self).thread(i)).collect();
            for error in self.stage.run_threads(threads) {
                self.fail(RunError::NoThread(error));
            }
            self.section(ThreadNo::MAIN, Section::After, &self.program.after);
            self.end_session();
        });
        drop(self);
        token.give_back();
    }

    /// A thread of the program: its number, and what it does. It calls `ready` before its first op.
    fn thread(self: OutsideArc<Self>, i: usize) -> (ThreadNo, impl FnOnce(&dyn Fn()) + Send + 'static) {
        let no = ThreadNo(i as u8 + 1);
        let token = self.stage.add_thread(no);
        let body = move |ready: &dyn Fn()| {
            self.on_thread(no, || {
                ready();
                self.section(no, Section::Thread(i as u8), &self.program.threads[i]);
            });
            drop(self);
            token.give_back();
        };
        (no, body)
    }

    /// Makes the calling thread a thread of the run while `f` runs.
    fn on_thread(&self, no: ThreadNo, f: impl FnOnce()) {
        log::enter_run(self.id, no);
        self.stage.enter(no);
        ops::set_depth(0);
        let result = catch(f);
        self.stage.leave();
        log::leave_run();
        if let Err(panic) = result {
            self.panicked(&*panic);
        }
    }

    fn section(&self, thread: ThreadNo, section: Section, steps: &[Step]) {
        for (i, step) in steps.iter().enumerate() {
            self.step(thread, StepId { section, index: i as u16 }, step);
        }
    }

    /// Shuts the session down if the program has not, and drops it.
    fn end_session(&self) {
        self.ledger.report(ThreadNo::MAIN, EventKind::Closing);
        if let Some(session) = self.session.take() {
            if !self.session.is_shut_down()
                && let Err(panic) = catch(|| session.shutdown())
            {
                self.panicked(&*panic);
            }
            if let Err(panic) = catch(|| drop(session)) {
                self.panicked(&*panic);
            }
        }
        self.ledger.report(ThreadNo::MAIN, EventKind::Closed);
    }
}
