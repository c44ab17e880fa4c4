//! Time, which does not pass: sleeping lets others run, and a clock goes on whenever somebody asks it.
//!
//! Code that asks again and again waits for time to pass, or for somebody else until then. So a clock goes on faster the more
//! often it is asked, up to a second each time, and whoever asks at one place for the third time lets others run first.

use super::{pointer, write};
use crate::model::entry::entry_points;
use crate::model::memory::accessed;
use crate::model::race::Access;
use crate::model::world::{Me, Pc, enter, let_others_run, with};
use std::collections::BTreeMap;
use std::ffi::c_int;

/// A thread is about to wait with a limit. It gives up whenever the schedule lets it come too early; whoever has given up
/// before lets others run first, or a loop around such a wait would never end.
pub(crate) fn limit(me: Me) {
    if with(|world| world.objects.gave_up.contains(&me)) {
        give_way();
    }
}

/// Whether it got what it waited for.
pub(crate) fn limited(me: Me, got: bool) {
    with(|world| if got { world.objects.gave_up.remove(&me) } else { world.objects.gave_up.insert(me) });
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

extern "C-unwind" fn sleeps(_: usize, pc: Pc) -> c_int {
    yields(pc)
}

pub(super) extern "C-unwind" fn nanosleep(_: usize, _: usize, pc: Pc) -> c_int {
    yields(pc)
}

extern "C-unwind" fn clock_nanosleep(_: c_int, _: c_int, _: usize, _: usize, pc: Pc) -> c_int {
    yields(pc)
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
    /// How often, by thread, place, and where its function was called from.
    places: BTreeMap<(Me, Pc, Pc), u32>,
}

/// Asks the time.
fn tick(pc: Pc) -> libc::timespec {
    let mut now = 0;
    if let Some(me) = enter() {
        let (time, waits) = with(|world| {
            let from = world.thread(me).calls.last().copied().unwrap_or_default();
            let clocks = &mut world.objects.clocks;
            clocks.now += (1 << clocks.asked.saturating_sub(SMALL_STEPS).min(20)).min(MICROS);
            clocks.asked += 1;
            let here = clocks.places.entry((me, pc, from)).or_default();
            *here += 1;
            (clocks.now, *here > PATIENCE && world.others_live(me))
        });
        now = time;
        if waits {
            give_way();
        }
    }
    libc::timespec { tv_sec: 1_000_000 + now / MICROS, tv_nsec: now % MICROS * 1_000 }
}

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

extern "C-unwind" fn clock_gettime(_: c_int, out: usize, pc: Pc) -> c_int {
    accessed(out, size_of::<libc::timespec>(), Access::Write, pc);
    write(out, tick(pc));
    0
}

extern "C-unwind" fn gettimeofday(out: usize, _: usize, pc: Pc) -> c_int {
    accessed(out, size_of::<libc::timeval>(), Access::Write, pc);
    let time = tick(pc);
    write(out, libc::timeval { tv_sec: time.tv_sec, tv_usec: time.tv_nsec / 1_000 });
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
        write(out, seconds);
    }
    seconds
}

extern "C-unwind" fn clock_getres(_: c_int, out: usize, pc: Pc) -> c_int {
    if out != 0 {
        accessed(out, size_of::<libc::timespec>(), Access::Write, pc);
        write(out, libc::timespec { tv_sec: 0, tv_nsec: 1_000 });
    }
    0
}

/// Processor time: as much as there is of the other kind.
extern "C-unwind" fn clock(pc: Pc) -> i64 {
    let time = tick(pc);
    (time.tv_sec - 1_000_000) * MICROS + time.tv_nsec / 1_000
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
    sleep(1) => sleeps;
    usleep(1) => sleeps;
    nanosleep(2) => nanosleep;
    clock_nanosleep(4) => clock_nanosleep;
    clock_gettime(2) => clock_gettime;
    gettimeofday(2) => gettimeofday;
    timespec_get(2) => timespec_get;
    time(1) => time;
}
