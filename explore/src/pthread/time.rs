//! Time, which does not pass: sleeping lets others run, and a clock goes on whenever somebody asks it, has slept, or has waited in
//! vain: then it shows that time, as far as it lies within a day.
//!
//! Code that asks again and again waits for time to pass, or for somebody else until then. So a clock goes on faster the more
//! often it is asked, up to a second each time, and whoever asks at one place for the third time lets others run first.

use super::{pointer, write};
use crate::entry::entry_points;
use crate::memory::accessed;
use crate::race::Access;
use crate::trace;
use crate::world::{Me, Pc, enter, let_others_run, live, with};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_uint};

/// A thread is about to wait with a limit. It gives up whenever the schedule lets it come too early; whoever has given up
/// before lets others run first, or a loop around such a wait would never end.
pub(crate) fn limit(me: Me) {
    if with(|world| world.objects.gave_up.contains(&me)) {
        give_way();
    }
}

/// Whether it got what it waited for. If not, the clocks show the time until which it wanted to wait; unless that is long, and there
/// are other threads: code that gives up after a minute counts on them to do something meanwhile. Such a wait is over all the same,
/// and who asks the time finds that it is early.
pub(crate) fn limited(me: Me, got: bool, until: Option<i64>) {
    /// Another thread may well do nothing for so long.
    const SHORT: i64 = MICROS;
    if got {
        with(|world| world.objects.gave_up.remove(&me));
        return;
    }
    let alone = with(|world| {
        world.objects.gave_up.insert(me);
        !world.others_live(me)
    });
    if let Some(time) = until.filter(|&time| alone || time <= after(SHORT)) {
        reached(me, time);
    }
}

fn give_way() {
    let_others_run();
}

pub(super) extern "C-unwind" fn yields(pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| world.did(me, pc, "yields"));
        give_way();
    }
    0
}

fn sleeps_until(time: i64, pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| world.did(me, pc, "sleeps"));
        give_way();
        reached(me, time);
    }
    0
}

extern "C-unwind" fn sleep(seconds: c_uint, pc: Pc) -> c_int {
    sleeps_until(after(i64::from(seconds) * MICROS), pc)
}

extern "C-unwind" fn usleep(micros: c_uint, pc: Pc) -> c_int {
    sleeps_until(after(i64::from(micros)), pc)
}

pub(super) extern "C-unwind" fn nanosleep(time: usize, _: usize, pc: Pc) -> c_int {
    sleeps_until(after(micros(time, pc)), pc)
}

extern "C-unwind" fn clock_nanosleep(_: c_int, flags: c_int, time: usize, _: usize, pc: Pc) -> c_int {
    let micros = micros(time, pc);
    sleeps_until(if flags & libc::TIMER_ABSTIME == 0 { after(micros) } else { micros.saturating_sub(START) }, pc)
}

/// A span of time, or a time, that C passes.
fn micros(time: usize, pc: Pc) -> i64 {
    accessed(time, size_of::<libc::timespec>(), Access::Read, pc);
    // SAFETY: C passes one, which has been checked.
    let time = unsafe { pointer::<libc::timespec>(time).read() };
    time.tv_sec.saturating_mul(MICROS).saturating_add(time.tv_nsec / 1_000)
}

/// A time that C passes, as the clocks here have it.
pub(crate) fn at(time: usize, pc: Pc) -> i64 {
    micros(time, pc).saturating_sub(START)
}

/// The time that comes so much later.
pub(crate) fn after(micros: i64) -> i64 {
    let now = || with(|world| world.objects.clocks.now);
    if live() { now().saturating_add(micros) } else { micros }
}

/// The thread has waited until this time.
fn reached(me: Me, time: i64) {
    /// Nobody waits for longer; and who computes with what a clock shows is spared what comes in a hundred years.
    const MOST: i64 = 24 * 60 * 60 * MICROS;
    let shared = with(|world| {
        let clocks = &mut world.objects.clocks;
        clocks.now = clocks.now.max(time.min(clocks.now.saturating_add(MOST)));
        clocks.used(me)
    });
    if shared {
        trace::yielded();
    }
}

/// How often a clock goes on by a microsecond, before each step is twice the one before.
const SMALL_STEPS: u32 = 16;

/// What a thread may ask at one place before it lets others run, as with atomics that are read again and again.
const PATIENCE: u32 = 2;

/// What the clocks show.
#[derive(Default)]
pub(super) struct Clocks {
    /// In microseconds since the interleaving began.
    now: i64,
    asked: u32,
    /// Who did so last, or moved them.
    by: Option<Me>,
    /// How often, by thread, place, and where its function was called from.
    places: BTreeMap<(Me, Pc, Pc), u32>,
}

impl Clocks {
    /// Asks them, or moves them: whether another thread did so before. What it finds depends on that then, which the trace does not see.
    fn used(&mut self, me: Me) -> bool {
        self.by.replace(me).is_some_and(|by| by != me)
    }
}

/// Asks the time.
fn tick(pc: Pc) -> libc::timespec {
    let mut now = 0;
    if let Some(me) = enter() {
        let (time, shared, waits) = with(|world| {
            let from = world.thread(me).calls.last().copied().unwrap_or_default();
            let clocks = &mut world.objects.clocks;
            clocks.now += (1 << clocks.asked.saturating_sub(SMALL_STEPS).min(20)).min(MICROS);
            clocks.asked += 1;
            let here = clocks.places.entry((me, pc, from)).or_default();
            *here += 1;
            let waits = *here > PATIENCE;
            (clocks.now, clocks.used(me), waits && world.others_live(me))
        });
        now = time;
        if shared {
            trace::yielded();
        }
        if waits {
            give_way();
        }
    }
    libc::timespec { tv_sec: (START + now) / MICROS, tv_nsec: (START + now) % MICROS * 1_000 }
}

/// Microseconds in a second.
pub(crate) const MICROS: i64 = 1_000_000;
/// What the clocks show when an interleaving begins, in microseconds.
const START: i64 = 1_000_000 * MICROS;

extern "C-unwind" fn clock_gettime(_: c_int, out: usize, pc: Pc) -> c_int {
    accessed(out, size_of::<libc::timespec>(), Access::Write, pc);
    // SAFETY: (1) C passes a place for a `struct timespec` to `clock_gettime`.
    unsafe { write(out, tick(pc)) };
    0
}

extern "C-unwind" fn gettimeofday(out: usize, _: usize, pc: Pc) -> c_int {
    accessed(out, size_of::<libc::timeval>(), Access::Write, pc);
    let time = tick(pc);
    // SAFETY: (1) C passes a place for a `struct timeval` to `gettimeofday`.
    unsafe { write(out, libc::timeval { tv_sec: time.tv_sec, tv_usec: time.tv_nsec / 1_000 }) };
    0
}

extern "C-unwind" fn timespec_get(out: usize, base: c_int, pc: Pc) -> c_int {
    clock_gettime(0, out, pc);
    base
}

extern "C-unwind" fn time(out: usize, pc: Pc) -> i64 {
    let seconds = tick(pc).tv_sec;
    if out != 0 {
        accessed(out, size_of::<i64>(), Access::Write, pc);
        // SAFETY: (1) C passes a place for a `time_t` to `time`.
        unsafe { write(out, seconds) };
    }
    seconds
}

extern "C-unwind" fn clock_getres(_: c_int, out: usize, pc: Pc) -> c_int {
    if out != 0 {
        accessed(out, size_of::<libc::timespec>(), Access::Write, pc);
        // SAFETY: (1) C passes a place for a `struct timespec` to `clock_getres`.
        unsafe { write(out, libc::timespec { tv_sec: 0, tv_nsec: 1_000 }) };
    }
    0
}

/// Processor time: as much as there is of the other kind.
extern "C-unwind" fn clock(pc: Pc) -> i64 {
    let time = tick(pc);
    (time.tv_sec - START / MICROS) * MICROS + time.tv_nsec / 1_000
}

/// The buffer that these answer is one for all threads: who calls them at the same time races for it.
fn broken_down(time: usize, by: unsafe extern "C" fn(*const i64, *mut libc::tm) -> *mut libc::tm, pc: Pc) -> usize {
    accessed(time, size_of::<i64>(), Access::Read, pc);
    let Some(_) = enter() else { return 0 };
    let buffer: *mut libc::tm = with(|world| {
        // SAFETY: numbers, and a null pointer.
        let fresh = || Box::new(unsafe { std::mem::zeroed::<libc::tm>() });
        &raw mut **world.objects.broken_down.get_or_insert_with(fresh)
    });
    accessed(buffer.expose_provenance(), size_of::<libc::tm>(), Access::Write, pc);
    // SAFETY: C passes a time, which has been checked; the buffer lasts as long as the interleaving.
    unsafe { by(pointer(time), buffer) }.expose_provenance()
}

extern "C-unwind" fn localtime(time: usize, pc: Pc) -> usize {
    broken_down(time, libc::localtime_r, pc)
}

extern "C-unwind" fn gmtime(time: usize, pc: Pc) -> usize {
    broken_down(time, libc::gmtime_r, pc)
}

entry_points! {
    localtime(1) => localtime;
    gmtime(1) => gmtime;
    clock(0) => clock;
    clock_getres(2) => clock_getres;
    sched_yield(0) => yields;
    pthread_yield(0) => yields;
    sleep(1) => sleep;
    usleep(1) => usleep;
    nanosleep(2) => nanosleep;
    clock_nanosleep(4) => clock_nanosleep;
    clock_gettime(2) => clock_gettime;
    gettimeofday(2) => gettimeofday;
    timespec_get(2) => timespec_get;
    time(1) => time;
}
