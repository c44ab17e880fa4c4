//! Threads: their creation, their end, and who waits for it.

use super::{call_with, pointer, refuse_call, write};
use crate::entry::entry_points;
use crate::event::What;
use crate::finding::{Bound, FindingKind};
use crate::loom_types::thread;
use crate::memory::accessed;
use crate::race::Access;
use crate::stack::on_stack;
use crate::world::{Leave, MOST_THREADS, Me, Pc, World, enter, leave, throw, waiting, with};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// What C calls a thread: never 0.
fn name_of(me: Me) -> usize {
    me + 1
}

fn run_c(me: Me, start: usize, argument: usize, answers_int: bool) {
    let result = catch_unwind(AssertUnwindSafe(|| call_with(start, argument)));
    let value = match result {
        Ok(value) if answers_int => value as u32 as usize,
        Ok(value) => value,
        Err(payload) => {
            exited(me, payload);
            with(|world| world.objects.results.get(&me).copied().unwrap_or_default())
        }
    };
    with(|world| world.objects.results.insert(me, value));
}

/// What left the thread's first function was `pthread_exit`; anything else ends the interleaving.
fn exited(me: Me, payload: Box<dyn Any + Send>) {
    if !matches!(payload.downcast_ref(), Some(Leave::ThreadExit)) {
        crate::search::escaped(&*payload);
    }
    with(|world| world.thread(me).exiting = false);
}

/// Thread-specific data dies, in as many rounds as glibc makes.
pub(crate) fn end_of_thread(me: Me) {
    for _ in 0..4 {
        let keys: Vec<u32> = with(|world| world.thread(me).locals.keys().copied().collect());
        let mut any = false;
        for key in keys {
            // One after the other: a destructor may ask for, and set, what is left.
            let next = with(|world| {
                let destructor = world.objects.keys.get(&key).copied().flatten()?;
                let value = world.thread(me).locals.remove(&key).filter(|&value| value != 0)?;
                Some((destructor, value))
            });
            if let Some((destructor, value)) = next {
                any = true;
                call_with(destructor, value);
            }
        }
        if !any {
            break;
        }
    }
    crate::locals::end_locals(me);
    if enter().is_some() {
        with(|world| world.did(me, 0, "ends"));
    }
}

/// Makes a thread that runs `body` on a stack of ours and then ends as C's threads do. `place` is for the timeline.
fn start(me: Me, pc: Pc, place: &str, body: impl FnOnce(Me) + 'static) -> (Me, thread::JoinHandle<()>) {
    with(|world| {
        world.objects.threads += 1;
        if world.objects.threads + usize::from(world.keeper.is_some()) >= MOST_THREADS {
            world.lacks_a_thread();
            leave(world, Leave::Limited(Bound::Threads(MOST_THREADS)));
        }
    });
    // Loom runs it at the creator's next branch at the earliest.
    let number = Rc::new(Cell::new(0));
    let told = number.clone();
    let handle = thread::spawn(move || {
        let me = told.get();
        with(|world| {
            world.thread(me);
        });
        on_stack(me, || {
            body(me);
            end_of_thread(me);
        });
    });
    let child = crate::world::number(handle.thread().id());
    number.set(child);
    with(|world| {
        super::signals::inherit(world, me, child);
        world.thread(child);
        match place {
            "" => world.log(me, pc, What::Thread("creates", child)),
            place => world.did(me, pc, format!("creates thread {child}{place}")),
        }
    });
    (child, handle)
}

pub(super) fn create(out: usize, function: usize, argument: usize, detached: bool, answers_int: bool, pc: Pc) -> c_int {
    let Some(me) = enter() else { return libc::EAGAIN };
    let (child, handle) = start(me, pc, "", move |me| run_c(me, function, argument, answers_int));
    accessed(out, size_of::<usize>(), Access::Write, pc);
    // SAFETY: (1) C passes a place for the new thread's name to `pthread_create`.
    unsafe { write(out, name_of(child)) };
    with(|world| {
        if detached {
            world.objects.gone.insert(child);
        } else {
            world.objects.handles.insert(child, handle);
        }
    });
    0
}

/// A thread that was created by [`spawn`]. Dropping the handle detaches the thread.
#[derive(Debug)]
pub struct JoinHandle<T> {
    thread: thread::JoinHandle<()>,
    child: Me,
    value: Rc<RefCell<Option<T>>>,
}

/// Creates a thread that runs `f`. In the closure of a search, it takes the place of `std::thread::spawn`.
///
/// The thread is like one that C code creates. Its stack has [`Options::stack`](crate::Options::stack) bytes. When `f` has
/// returned, the destructors of C's thread-specific keys run, and C's thread-local variables end; after that the thread can be
/// joined. A thread of `loom::thread::spawn` has 32 KiB of stack and does neither of these.
///
/// # Panics
///
/// Outside a search.
#[track_caller]
pub fn spawn<T: 'static>(f: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    let me = enter().expect(
        "latecall_explore::spawn was called outside a search: call it in the closure that is passed to explore",
    );
    let place = format!(" ({})", crate::finding::at(std::panic::Location::caller()));
    let value = Rc::new(RefCell::new(None));
    let out = value.clone();
    let (child, thread) = start(me, 0, &place, move |me| match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => *out.borrow_mut() = Some(value),
        Err(payload) => exited(me, payload),
    });
    JoinHandle { thread, child, value }
}

impl<T> JoinHandle<T> {
    /// Waits for the thread to end, and returns the closure's value.
    ///
    /// # Panics
    ///
    /// When there is no value, because C code ended the thread by `pthread_exit`. Outside a search.
    #[track_caller]
    pub fn join(self) -> T {
        let Self { thread, child, value } = self;
        let me = enter().expect(
            "JoinHandle::join was called outside a search: join threads in the closure that is passed to explore",
        );
        let place = crate::finding::at(std::panic::Location::caller());
        let joined = waiting(me, 0, "the end of thread", child, || thread.join());
        joined.expect("a thread that panicked took the interleaving with it");
        with(|world| world.did(me, 0, format!("joins thread {child} ({place})")));
        let value = value.borrow_mut().take();
        value.expect("the thread has no value to return, because C code ended it by pthread_exit")
    }
}

extern "C-unwind" fn pthread_create(out: usize, attributes: usize, start: usize, argument: usize, pc: Pc) -> c_int {
    let mut detached = libc::PTHREAD_CREATE_JOINABLE;
    if attributes != 0 {
        accessed(attributes, size_of::<libc::pthread_attr_t>(), Access::Read, pc);
        // SAFETY: C passes initialised attributes, and the real functions for them are in use.
        unsafe { pthread_attr_getdetachstate(attributes, (&raw mut detached).expose_provenance()) };
    }
    create(out, start, argument, detached == libc::PTHREAD_CREATE_DETACHED, false, pc)
}

unsafe extern "C" {
    fn pthread_attr_getdetachstate(attributes: usize, state: usize) -> c_int;
}

/// What the thread answers, or why it cannot be waited for.
pub(super) fn join(name: usize, pc: Pc) -> Result<usize, c_int> {
    let Some(me) = enter() else { return Ok(0) };
    let child = name.wrapping_sub(1);
    if child == me {
        return Err(libc::EDEADLK);
    }
    let handle = with(|world| {
        if let Some(handle) = world.objects.handles.remove(&child) {
            return handle;
        }
        let why = if world.objects.gone.contains(&child) { "was joined or detached before" } else { "does not exist" };
        world.convict(me, pc, FindingKind::Misuse, format!("join of thread {child}, which {why}"))
    });
    with(|world| world.objects.gone.insert(child));
    let joined = waiting(me, pc, "the end of thread", child, || handle.join());
    joined.expect("a thread that panicked took the interleaving with it");
    with(|world| {
        world.log(me, pc, What::Thread("joins", child));
        Ok(world.objects.results.get(&child).copied().unwrap_or_default())
    })
}

extern "C-unwind" fn pthread_join(name: usize, out: usize, pc: Pc) -> c_int {
    let value = match join(name, pc) {
        Ok(value) => value,
        Err(why) => return why,
    };
    if out != 0 {
        accessed(out, size_of::<usize>(), Access::Write, pc);
        // SAFETY: (1) C passes a place for the thread's value to `pthread_join`, and `accessed` has checked it.
        unsafe { write(out, value) };
    }
    0
}

pub(super) extern "C-unwind" fn pthread_detach(name: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    let child = name.wrapping_sub(1);
    with(|world| {
        if world.objects.handles.remove(&child).is_none() {
            world.convict(
                me,
                pc,
                FindingKind::Misuse,
                format!("detach of thread {child}, which was joined or detached before"),
            );
        }
        world.objects.gone.insert(child);
        world.did(me, pc, format!("detaches thread {child}"));
    });
    0
}

pub(super) extern "C-unwind" fn pthread_exit(value: usize, pc: Pc) {
    let Some(me) = enter() else { return };
    with(|world| {
        world.objects.results.insert(me, value);
        world.thread(me).exiting = true;
        world.did(me, pc, "exits");
    });
    throw(Leave::ThreadExit);
}

pub(super) extern "C-unwind" fn pthread_self(_: Pc) -> usize {
    enter().map_or(0, name_of)
}

pub(super) extern "C-unwind" fn pthread_equal(a: usize, b: usize, _: Pc) -> c_int {
    c_int::from(a == b)
}

/// The thread gets a name, which the report shows.
extern "C-unwind" fn setname(name: usize, text: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    // SAFETY: C passes a string.
    let text = unsafe { std::ffi::CStr::from_ptr(pointer(text)) }.to_string_lossy().into_owned();
    with(|world| {
        let named = world.known(me, pc, name);
        if text.len() > 15 {
            return libc::ERANGE;
        }
        world.thread(named).title = Some(text);
        0
    })
}

extern "C-unwind" fn getname(name: usize, out: usize, size: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    let title = with(|world| {
        let named = world.known(me, pc, name);
        world.thread(named).title.clone().unwrap_or_default()
    });
    if size <= title.len() {
        return libc::ERANGE;
    }
    // SAFETY: (1) C passes a buffer of `size` bytes to `pthread_getname_np`, and the name is shorter.
    unsafe { answer_text(out, &title, pc) };
    0
}

/// Writes a thread's name where C wants it, and checks that memory first.
///
/// # Safety
///
/// 1. C passed `out` as a place for a text that is as long.
unsafe fn answer_text(out: usize, title: &str, pc: Pc) {
    accessed(out, title.len() + 1, Access::Write, pc);
    for (at, byte) in title.bytes().chain([0]).enumerate() {
        // SAFETY: (1) the caller guarantees by clause 1 that the text with its end fits.
        unsafe { write(out + at, byte) };
    }
}

/// The kernel's own way to names, which cuts them off; of what else it does nothing is modelled.
extern "C-unwind" fn prctl(option: c_int, argument: usize, _: usize, _: usize, _: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    match option {
        libc::PR_SET_NAME => {
            // SAFETY: C passes a string.
            let text = unsafe { std::ffi::CStr::from_ptr(pointer(argument)) }.to_string_lossy();
            let text = text.chars().take(15).collect();
            with(|world| world.thread(me).title = Some(text));
        }
        libc::PR_GET_NAME => {
            let title = with(|world| world.thread(me).title.clone()).unwrap_or_default();
            // SAFETY: (1) C passes a buffer of 16 bytes to `prctl(PR_GET_NAME)`, and a name has at most 15.
            unsafe { answer_text(argument, &title, pc) };
        }
        _ => refuse_call(&format!("prctl with option {option}"), pc),
    }
    0
}

/// The first thread's number is the process's, as with Linux.
pub(super) extern "C-unwind" fn gettid(_: Pc) -> c_int {
    // SAFETY: it only answers a number.
    unsafe { libc::getpid() + enter().unwrap_or_default() as c_int }
}

extern "C-unwind" fn getschedparam(name: usize, policy: usize, parameters: usize, pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| world.known(me, pc, name));
        for out in [policy, parameters] {
            accessed(out, size_of::<c_int>(), Access::Write, pc);
            // SAFETY: (1) C passes places for a policy and for a priority to `pthread_getschedparam`; `accessed` has
            // checked both.
            unsafe { write::<c_int>(out, 0) };
        }
    }
    0
}

/// Every thread runs on one processor.
extern "C-unwind" fn sched_getcpu(_: Pc) -> c_int {
    0
}

/// Priorities and processors are nothing to a model.
extern "C-unwind" fn scheduled(name: usize, _: usize, _: usize, pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| world.known(me, pc, name));
    }
    0
}

extern "C-unwind" fn scheduled_process(_: c_int, _: c_int, _: usize, _: Pc) -> c_int {
    0
}

extern "C-unwind" fn scheduled_param(_: c_int, _: usize, _: Pc) -> c_int {
    0
}

extern "C-unwind" fn getaffinity(name: usize, size: usize, out: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    with(|world| world.known(me, pc, name));
    accessed(out, size, Access::Write, pc);
    // SAFETY: C passes so many bytes, which have been checked. It answers for the machine's thread, which all of a
    // model share.
    match unsafe { libc::sched_getaffinity(0, size, pointer(out)) } {
        0 => 0,
        _ => libc::EINVAL,
    }
}

impl World {
    /// Whether there is another thread that C code knows and that has not ended.
    pub(super) fn others_live(&self, me: Me) -> bool {
        let ended = |other| self.objects.results.contains_key(&other);
        (0..self.threads.len()).any(|other| other != me && self.threads[other].is_some() && !ended(other))
    }

    /// The thread that C calls so.
    pub(super) fn known(&mut self, me: Me, pc: Pc, name: usize) -> Me {
        let thread = name.wrapping_sub(1);
        if self.threads.get(thread).is_none_or(Option::is_none) {
            self.convict(me, pc, FindingKind::Misuse, format!("{name:#x} is not a thread"));
        }
        thread
    }
}

entry_points! {
    prctl(5) => prctl;
    gettid(0) => gettid;
    pthread_getschedparam(3) => getschedparam;
    sched_getcpu(0) => sched_getcpu;
    pthread_setname_np(2) => setname;
    pthread_getname_np(3) => getname;
    pthread_setschedparam(3) => scheduled;
    pthread_setaffinity_np(3) => scheduled;
    pthread_getaffinity_np(3) => getaffinity;
    sched_setscheduler(3) => scheduled_process;
    sched_setaffinity(3) => scheduled_process;
    setpriority(3) => scheduled_process;
    sched_setparam(2) => scheduled_param;
    pthread_create(4) => pthread_create;
    pthread_join(2) => pthread_join;
    pthread_detach(1) => pthread_detach;
    pthread_exit(1) => pthread_exit;
    pthread_self(0) => pthread_self;
    pthread_equal(2) => pthread_equal;
}
