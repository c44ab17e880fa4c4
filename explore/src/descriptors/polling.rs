//! Waiting for several descriptors: `poll`, `select`, `epoll`.
//!
//! Each descriptor is looked at under its channel's gate, and who finds nothing is on the list of all of them when it parks. A wait
//! with a limit looks once, at each moment at which it may find something or give up.

use super::channel::{Content, Watch, attempt, look, park, wait_no_longer};
use super::{Descriptor, FIRST, descriptor, did, with_flags};
use crate::entry::entry_points;
use crate::memory::accessed;
use crate::pthread::{MICROS, after, answer, begin_operation, fails, limit, limited, refuse_call};
use crate::race::Access;
use crate::world::{Me, Pc, with};
use std::ffi::{c_int, c_short};

const IN: u32 = libc::POLLIN as u32;
const OUT: u32 = libc::POLLOUT as u32;
const ERR: u32 = libc::POLLERR as u32;
const HUP: u32 = libc::POLLHUP as u32;

/// How deep pollers may watch each other; Linux has a limit too.
const DEEPEST: usize = 4;

/// What is the matter with a descriptor, of what was asked for; and how often it has changed.
fn state(it: Descriptor, asked: u32, parks: Option<Me>, depth: usize) -> (u32, u64) {
    let mut found = 0;
    let mut changes = 0;
    // A socket hangs up when both ways have ended; a pipe has one.
    let is_socket = it.input.is_some() && it.output.is_some() && it.input != it.output;
    let mut ended = false;
    if let Some(input) = it.input {
        let mut watched = Vec::new();
        look(input, parks, |channel| {
            changes = channel.changes;
            if let Content::Watched(all) = &channel.content {
                watched = all.iter().map(|(&number, &watch)| (number, watch)).collect();
            }
            if asked & IN != 0 && channel.content.readable() {
                found |= IN;
            }
            ended = channel.content.ended();
            if !is_socket && channel.content.hung_up(true) {
                found |= HUP;
            }
            (found != 0).then_some(())
        });
        if depth < DEEPEST && watched.into_iter().any(|(number, watch)| news(number, watch, parks, depth + 1).0 != 0) {
            found |= asked & IN;
        }
    }
    if let Some(output) = it.output {
        // With an event counter both are one.
        // Who asks to read hears of the end where it reads.
        look(output, parks.filter(|_| asked & OUT != 0 || (is_socket && asked & IN == 0)), |channel| {
            let before = found;
            // An event counter's input is the same channel, and a change of it counts twice, which is as good.
            changes += channel.changes;
            if asked & OUT != 0 && channel.content.writable() {
                found |= OUT;
            }
            if it.input.is_none() && channel.content.hung_up(false) {
                found |= ERR;
            }
            if is_socket && ended && channel.content.ended() {
                found |= HUP;
            }
            (found != before).then_some(())
        });
    }
    (found, changes)
}

/// What a poller has to tell of a descriptor that it watches.
fn news(number: c_int, watch: Watch, parks: Option<Me>, depth: usize) -> (u32, u64) {
    let Some(it) = descriptor(number) else { return (0, 0) };
    let (found, changes) = state(it, watch.events, parks, depth);
    let again = watch.events & libc::EPOLLET as u32 == 0 || watch.told != Some(changes);
    (if again && watch.events != 0 { found } else { 0 }, changes)
}

/// Looks until something is found, or the limit is over: -1 is none. A report says that it waits for the first.
fn until(me: Me, pc: Pc, milliseconds: i64, first: c_int, mut look: impl FnMut(Option<Me>) -> c_int) -> c_int {
    if milliseconds >= 0 {
        let until = after(milliseconds.saturating_mul(1_000));
        if milliseconds > 0 {
            limit(me);
        }
        let found = look(None);
        if milliseconds > 0 {
            limited(me, found > 0, Some(until));
        }
        return found;
    }
    loop {
        let found = look(Some(me));
        if found != 0 {
            wait_no_longer(me);
            return found;
        }
        park(me, pc, first);
    }
}

fn pointer<T>(address: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address)
}

extern "C-unwind" fn poll(all: usize, count: u64, milliseconds: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let (count, each) = (count as usize, size_of::<libc::pollfd>());
    accessed(all, count * each, Access::Read, pc);
    let at = |index: usize| pointer::<libc::pollfd>(all + index * each);
    // SAFETY: C passes so many, which have been checked.
    let asked: Vec<libc::pollfd> = (0..count).map(|index| unsafe { at(index).read() }).collect();
    let first = asked.first().map_or(-1, |it| it.fd);
    if let Some(known) = asked.iter().find(|it| (0..FIRST).contains(&it.fd)) {
        refuse_call(&format!("poll of descriptor {}", known.fd), pc);
    }
    let mut results = Vec::new();
    let found = until(me, pc, i64::from(milliseconds), first, |parks| {
        results = asked
            .iter()
            .map(|it| match descriptor(it.fd) {
                _ if it.fd < 0 => 0,
                Some(known) => state(known, it.events as u16 as u32, parks, 0).0 as c_short,
                None => libc::POLLNVAL,
            })
            .collect();
        results.iter().filter(|&&result| result != 0).count() as c_int
    });
    for (index, result) in results.into_iter().enumerate() {
        // SAFETY: `at` answers an address inside the array that C passes; only the address of a field is taken.
        let out = unsafe { &raw mut (*at(index)).revents };
        // SAFETY: (1) `out` is a field of an element in the array that C passes to `poll`, which writes the results
        // there.
        unsafe { answer(out.expose_provenance(), result, pc) };
    }
    did(me, pc, format!("polls {count} descriptors: {found} ready"));
    found
}

extern "C-unwind" fn poll_chk(all: usize, count: u64, milliseconds: c_int, _: usize, pc: Pc) -> c_int {
    poll(all, count, milliseconds, pc)
}

/// Nanoseconds in a second.
const NANOS: i64 = 1_000_000_000;

/// A limit in C's own form, of seconds and parts of one; none is -1.
fn milliseconds(limit: usize, parts: i64, pc: Pc) -> c_int {
    if limit == 0 {
        return -1;
    }
    accessed(limit, 16, Access::Read, pc);
    // SAFETY: a `timeval` and a `timespec` are both two of these, which have been checked.
    let [seconds, rest] = unsafe { pointer::<[i64; 2]>(limit).read() };
    let most = i64::from(c_int::MAX);
    seconds.saturating_mul(1_000).saturating_add((rest * 1_000).div_euclid(parts)).clamp(i64::from(rest > 0), most)
        as c_int
}

extern "C-unwind" fn ppoll(all: usize, count: u64, limit: usize, _: usize, pc: Pc) -> c_int {
    poll(all, count, milliseconds(limit, NANOS, pc), pc)
}

extern "C-unwind" fn select(most: c_int, reads: usize, writes: usize, errors: usize, limit: usize, pc: Pc) -> c_int {
    selects(most, [reads, writes, errors], milliseconds(limit, MICROS, pc), pc)
}

extern "C-unwind" fn pselect(most: c_int, reads: usize, writes: usize, errors: usize, limit: usize, pc: Pc) -> c_int {
    selects(most, [reads, writes, errors], milliseconds(limit, NANOS, pc), pc)
}

fn selects(most: c_int, [reads, writes, errors]: [usize; 3], milliseconds: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let bytes = (most.clamp(0, 1024) as usize).div_ceil(64) * 8;
    let sets = [(reads, IN), (writes, OUT), (errors, 0)];
    let mut asked = Vec::new();
    for (set, events) in sets.into_iter().filter(|(set, _)| *set != 0) {
        accessed(set, bytes, Access::Read, pc);
        for number in 0..most {
            // SAFETY: a set of so many bits, which have been checked.
            let byte = unsafe { pointer::<u8>(set + number as usize / 8).read() };
            if byte >> (number % 8) & 1 != 0 {
                let Some(known) = descriptor(number) else { return fails(me, libc::EBADF) };
                asked.push((set, number, events, known));
            }
        }
    }
    let mut ready = Vec::new();
    let first = asked.first().map_or(-1, |it| it.1);
    let found = until(me, pc, i64::from(milliseconds), first, |parks| {
        let is_ready = |&&(_, _, events, known): &&(usize, c_int, u32, Descriptor)| {
            let found = state(known, events, parks, 0).0;
            // To read is to find the end, and to write is to find the error.
            found & events != 0 || (events == IN && found & HUP != 0) || (events == OUT && found & ERR != 0)
        };
        ready = asked.iter().filter(is_ready).map(|&(set, number, ..)| (set, number)).collect();
        ready.len() as c_int
    });
    for (set, _) in sets.into_iter().filter(|(set, _)| *set != 0) {
        for at in 0..bytes {
            let bits = ready.iter().filter(|&&(of, number)| of == set && number as usize / 8 == at);
            // SAFETY: (1) C passes an `fd_set` to `select`, which writes to it; the byte lies in the set.
            unsafe { answer(set + at, bits.fold(0_u8, |byte, (_, number)| byte | 1 << (number % 8)), pc) };
        }
    }
    did(me, pc, format!("selects of {} descriptors: {found} ready", asked.len()));
    found
}

extern "C-unwind" fn epoll_create1(flags: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let number = with(|world| {
        let all = &mut world.objects.descriptors;
        let channel = all.channel(Content::Watched(std::collections::BTreeMap::new()));
        all.open(with_flags(Some(channel), None, flags))
    });
    did(me, pc, format!("makes poller {number}"));
    number
}

extern "C-unwind" fn epoll_create(_: c_int, pc: Pc) -> c_int {
    epoll_create1(0, pc)
}

extern "C-unwind" fn epoll_ctl(poller: c_int, operation: c_int, number: c_int, event: usize, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let (Some(it), Some(_)) = (descriptor(poller), descriptor(number)) else { return fails(me, libc::EBADF) };
    let mut watch = Watch { events: 0, data: 0, told: None };
    if operation != libc::EPOLL_CTL_DEL {
        accessed(event, size_of::<libc::epoll_event>(), Access::Read, pc);
        // SAFETY: C passes one, which has been checked.
        let event = unsafe { pointer::<libc::epoll_event>(event).read_unaligned() };
        (watch.events, watch.data) = (event.events, event.u64);
    }
    let done = it.input.and_then(|channel| {
        attempt(channel, None, |content| {
            let Content::Watched(all) = content else { return Some(Err(libc::EINVAL)) };
            Some(match (operation, all.contains_key(&number)) {
                (libc::EPOLL_CTL_ADD, true) => Err(libc::EEXIST),
                (libc::EPOLL_CTL_ADD, false) | (libc::EPOLL_CTL_MOD, true) => {
                    all.insert(number, watch);
                    Ok(())
                }
                (libc::EPOLL_CTL_DEL, true) => {
                    all.remove(&number);
                    Ok(())
                }
                (libc::EPOLL_CTL_DEL | libc::EPOLL_CTL_MOD, false) => Err(libc::ENOENT),
                _ => Err(libc::EINVAL),
            })
        })
    });
    did(me, pc, format!("tells poller {poller} of descriptor {number}"));
    match done.unwrap_or(Err(libc::EINVAL)) {
        Ok(()) => 0,
        Err(why) => fails(me, why),
    }
}

extern "C-unwind" fn epoll_wait(poller: c_int, out: usize, most: c_int, milliseconds: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let Some(it) = descriptor(poller) else { return fails(me, libc::EBADF) };
    let Some(channel) = it.input.filter(|_| it.output.is_none() && most > 0) else { return fails(me, libc::EINVAL) };
    let mut ready = Vec::new();
    let found = until(me, pc, i64::from(milliseconds), poller, |parks| {
        let mut watched = Vec::new();
        look(channel, parks, |channel| {
            if let Content::Watched(all) = &channel.content {
                watched = all.iter().map(|(&number, &watch)| (number, watch)).collect();
            }
            // Whoever changes what is watched wakes who waits.
            None::<()>
        });
        ready = watched
            .into_iter()
            .map(|(number, watch)| (number, watch, news(number, watch, parks, 0)))
            .filter(|(_, _, (found, _))| *found != 0)
            .take(most as usize)
            .collect();
        ready.len() as c_int
    });
    for (index, &(number, watch, (events, changes))) in ready.iter().enumerate() {
        let event = libc::epoll_event { events, u64: watch.data };
        // SAFETY: (1) C passes an array of events to `epoll_wait`, and there are no more events than its size.
        unsafe { answer(out + index * size_of::<libc::epoll_event>(), event, pc) };
        with(|world| {
            let content = &mut world.objects.descriptors.channels[channel].content;
            if let Content::Watched(all) = content
                && let Some(watch) = all.get_mut(&number)
            {
                watch.told = Some(changes);
                if watch.events & libc::EPOLLONESHOT as u32 != 0 {
                    watch.events = 0;
                }
            }
        });
    }
    did(me, pc, format!("waits at poller {poller}: {found} ready"));
    found
}

extern "C-unwind" fn epoll_pwait(poller: c_int, out: usize, most: c_int, limit: c_int, _: usize, pc: Pc) -> c_int {
    epoll_wait(poller, out, most, limit, pc)
}

entry_points! {
    poll(3) => poll;
    __poll_chk(4) => poll_chk;
    ppoll(4) => ppoll;
    select(5) => select;
    pselect(5) => pselect;
    epoll_create(1) => epoll_create;
    epoll_create1(1) => epoll_create1;
    epoll_ctl(4) => epoll_ctl;
    epoll_wait(4) => epoll_wait;
    epoll_pwait(5) => epoll_pwait;
}
