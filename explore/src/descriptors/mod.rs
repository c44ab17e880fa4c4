//! Descriptors by which threads of one process wake each other: pipes, pairs of sockets and event counters, and the calls that wait
//! for several of them. Files, and sockets to anybody else, are refused when building.
//!
//! How the parts fit: `channel` is what bytes or counts are in, with who waits for it; here is the table that C's numbers refer to, and
//! the calls on one descriptor; `messages` are those with several pieces of memory; `polling` waits for several.
//!
//! Each channel is a loom mutex with a list of who is parked, like a monitor of `pthread`. Making and closing descriptors is no
//! branch of the search.

mod channel;
mod messages;
mod polling;

use super::entry::entry_points;
use super::finding::count;
use super::memory::accessed;
use super::pthread::{answer, begin_operation, fails, raises_signal, refuse_call};
use super::race::Access;
use super::world::{Me, Pc, with};
use channel::{Channel, Content};
use std::collections::BTreeSet;
use std::ffi::c_int;

#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().chain(messages::NAMES).chain(polling::NAMES).copied()
}

/// The numbers below are the process's own.
const FIRST: c_int = 3;

/// The descriptors of an interleaving.
#[derive(Default)]
pub(crate) struct Descriptors {
    table: Vec<Option<Descriptor>>,
    channels: Vec<Channel>,
    /// Who was woken since it last began to look.
    woken: BTreeSet<Me>,
    /// Who is parked. Loom's wake-ups are for nobody else: one that reaches a thread on its way to a gate lets it through it.
    asleep: BTreeSet<Me>,
}

/// What a number refers to: what it reads from, and what it writes to.
#[derive(Clone, Copy, Default)]
struct Descriptor {
    input: Option<usize>,
    output: Option<usize>,
    flags: c_int,
    closes_on_exec: bool,
}

impl Descriptors {
    fn channel(&mut self, content: Content) -> usize {
        self.channels.push(Channel::new(self.channels.len(), content));
        self.channels.len() - 1
    }

    fn open(&mut self, descriptor: Descriptor) -> c_int {
        let free = self.table.iter().position(Option::is_none).unwrap_or(self.table.len());
        if free == self.table.len() {
            self.table.push(None);
        }
        self.table[free] = Some(descriptor);
        free as c_int + FIRST
    }

    fn get(&mut self, number: c_int) -> Option<&mut Descriptor> {
        let index = usize::try_from(number.checked_sub(FIRST)?).ok()?;
        self.table.get_mut(index)?.as_mut()
    }
}

fn descriptor(number: c_int) -> Option<Descriptor> {
    with(|world| world.objects.descriptors.get(number).copied())
}

fn did(me: Me, pc: Pc, what: String) {
    with(|world| world.did(me, pc, what));
}

/// What flags of `pipe2`, `eventfd` and `socketpair` say of the descriptor: they have the same numbers.
fn with_flags(input: Option<usize>, output: Option<usize>, flags: c_int) -> Descriptor {
    Descriptor { input, output, flags: flags & libc::O_NONBLOCK, closes_on_exec: flags & libc::O_CLOEXEC != 0 }
}

extern "C-unwind" fn pipe2(out: usize, flags: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let ends = with(|world| {
        let all = &mut world.objects.descriptors;
        let channel = all.channel(Content::bytes());
        let from = all.open(with_flags(Some(channel), None, flags));
        [from, all.open(with_flags(None, Some(channel), flags))]
    });
    did(me, pc, format!("makes a pipe from descriptor {} to {}", ends[1], ends[0]));
    // SAFETY: (1) C passes a place for two descriptors to `pipe2`.
    unsafe { answer(out, ends, pc) };
    0
}

extern "C-unwind" fn pipe(out: usize, pc: Pc) -> c_int {
    pipe2(out, 0, pc)
}

extern "C-unwind" fn socketpair(domain: c_int, kind: c_int, _: c_int, out: usize, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    if domain != libc::AF_UNIX || kind & 0xf != libc::SOCK_STREAM {
        refuse_call("socketpair of anything but AF_UNIX streams", pc);
    }
    let ends = with(|world| {
        let all = &mut world.objects.descriptors;
        let (one, other) = (all.channel(Content::bytes()), all.channel(Content::bytes()));
        let first = all.open(with_flags(Some(one), Some(other), kind));
        [first, all.open(with_flags(Some(other), Some(one), kind))]
    });
    did(me, pc, format!("makes a pair of descriptors, {} and {}", ends[0], ends[1]));
    // SAFETY: (1) C passes a place for two descriptors to `socketpair`.
    unsafe { answer(out, ends, pc) };
    0
}

extern "C-unwind" fn eventfd(count: u32, flags: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let number = with(|world| {
        let all = &mut world.objects.descriptors;
        let one_at_a_time = flags & libc::EFD_SEMAPHORE != 0;
        let channel = all.channel(Content::Count { count: u64::from(count), one_at_a_time });
        all.open(with_flags(Some(channel), Some(channel), flags))
    });
    did(me, pc, format!("makes event descriptor {number}"));
    number
}

extern "C-unwind" fn close(number: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let index = number.wrapping_sub(FIRST) as usize;
    let Some(closed) = with(|world| {
        let all = &mut world.objects.descriptors;
        let closed = all.table.get_mut(index).and_then(Option::take)?;
        // What comes to have its number is watched by nobody yet.
        all.channels.iter_mut().for_each(|channel| channel.content.forget(number));
        Some(closed)
    }) else {
        return fails(me, libc::EBADF);
    };
    did(me, pc, format!("closes descriptor {number}"));
    for (channel, reads) in [(closed.input, true), (closed.output, false)] {
        let Some(channel) = channel else { continue };
        let left = with(|world| {
            let others = world.objects.descriptors.table.iter().flatten();
            others
                .filter(|other| channel == if reads { other.input } else { other.output }.unwrap_or(usize::MAX))
                .count()
        });
        if left == 0 {
            channel::attempt(channel, None, |content| {
                content.close(reads);
                Some(())
            });
        }
    }
    0
}

/// Does something to a channel, or waits until it can be done.
fn transfer(
    me: Me,
    pc: Pc,
    number: c_int,
    (channel, waits): (usize, bool),
    change: impl Fn(&mut Content) -> Option<Result<usize, c_int>>,
) -> isize {
    loop {
        match channel::attempt(channel, waits.then_some(me), &change) {
            Some(Ok(size)) => return size as isize,
            Some(Err(why)) => return fails::<i64>(me, why) as isize,
            None if !waits => return fails::<i64>(me, libc::EAGAIN) as isize,
            None => channel::park(me, pc, number),
        }
    }
}

fn receive(number: c_int, to: usize, size: usize, at_once: bool, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    let Some(Descriptor { input, flags, .. }) = descriptor(number) else { return foreign(me, "read", number, pc) };
    let Some(channel) = input else { return fails::<i64>(me, libc::EBADF) as isize };
    let waits = !at_once && flags & libc::O_NONBLOCK == 0;
    // Before anything is taken: whether it may be written to. How much it is going to be is seen afterwards.
    let fits = with(|world| world.objects.descriptors.channels[channel].content.most(size));
    accessed(to, fits, Access::Write, pc);
    let got = transfer(me, pc, number, (channel, waits), |content| content.take(to, size));
    accessed(to, got.max(0) as usize, Access::Write, pc);
    did(me, pc, describes("reads", got, number));
    got
}

fn send_to(number: c_int, from: usize, size: usize, quietly: bool, at_once: bool, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return size as isize };
    accessed(from, size, Access::Read, pc);
    let Some(Descriptor { output, flags, .. }) = descriptor(number) else {
        return foreign_write(me, number, from, size, pc);
    };
    let Some(channel) = output else { return fails::<i64>(me, libc::EBADF) as isize };
    let waits = !at_once && flags & libc::O_NONBLOCK == 0;
    let put = transfer(me, pc, number, (channel, waits), |content| content.put(from, size));
    did(me, pc, describes("writes", put, number));
    if put < 0 && !quietly && with(|world| *world.thread(me).errno) == libc::EPIPE && raises_signal(libc::SIGPIPE) {
        refuse_call("write to a descriptor without a reader, which would raise SIGPIPE,", pc);
    }
    put
}

fn describes(did: &str, size: isize, number: c_int) -> String {
    match size {
        0.. => format!("{did} {}, descriptor {number}", count(size.unsigned_abs() as u64, "byte")),
        _ => format!("{did} nothing, descriptor {number}"),
    }
}

/// A descriptor of the process's own, or none at all.
fn foreign(me: Me, what: &str, number: c_int, pc: Pc) -> isize {
    if (0..FIRST).contains(&number) {
        refuse_call(&format!("{what} of descriptor {number}"), pc);
    }
    fails::<i64>(me, libc::EBADF) as isize
}

fn foreign_write(me: Me, number: c_int, from: usize, size: usize, pc: Pc) -> isize {
    if (1..FIRST).contains(&number) {
        // SAFETY: C passes this many bytes; what the model knows of them has been checked. People see them, and nobody
        // else.
        return unsafe { libc::write(number, std::ptr::with_exposed_provenance(from), size) };
    }
    foreign(me, "write", number, pc)
}

extern "C-unwind" fn read(number: c_int, to: usize, size: usize, pc: Pc) -> isize {
    receive(number, to, size, false, pc)
}

extern "C-unwind" fn read_chk(number: c_int, to: usize, size: usize, _: usize, pc: Pc) -> isize {
    receive(number, to, size, false, pc)
}

extern "C-unwind" fn recv(number: c_int, to: usize, size: usize, flags: c_int, pc: Pc) -> isize {
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) != 0 {
        refuse_call("recv with flags", pc);
    }
    receive(number, to, size, flags & libc::MSG_DONTWAIT != 0, pc)
}

extern "C-unwind" fn write(number: c_int, from: usize, size: usize, pc: Pc) -> isize {
    send_to(number, from, size, false, false, pc)
}

extern "C-unwind" fn send(number: c_int, from: usize, size: usize, flags: c_int, pc: Pc) -> isize {
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) != 0 {
        refuse_call("send with flags", pc);
    }
    send_to(number, from, size, flags & libc::MSG_NOSIGNAL != 0, flags & libc::MSG_DONTWAIT != 0, pc)
}

extern "C-unwind" fn eventfd_read(number: c_int, to: usize, pc: Pc) -> c_int {
    if receive(number, to, 8, false, pc) == 8 { 0 } else { -1 }
}

extern "C-unwind" fn eventfd_write(number: c_int, count: u64, pc: Pc) -> c_int {
    let bytes = count;
    if send_to(number, (&raw const bytes).expose_provenance(), 8, false, false, pc) == 8 { 0 } else { -1 }
}

extern "C-unwind" fn fcntl(number: c_int, command: c_int, value: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let known = with(|world| {
        let all = &mut world.objects.descriptors;
        let Some(descriptor) = all.get(number) else { return Some(Err(libc::EBADF)) };
        let mode = match (descriptor.input, descriptor.output) {
            (Some(_), Some(_)) => libc::O_RDWR,
            (None, _) => libc::O_WRONLY,
            _ => libc::O_RDONLY,
        };
        match command {
            libc::F_GETFL => return Some(Ok(mode | descriptor.flags)),
            libc::F_SETFL => descriptor.flags = value & libc::O_NONBLOCK,
            libc::F_GETFD => return Some(Ok(c_int::from(descriptor.closes_on_exec) * libc::FD_CLOEXEC)),
            // As where a limit is in the way: whoever asks goes on with what there is.
            libc::F_SETPIPE_SZ => return Some(Err(libc::EPERM)),
            libc::F_SETFD => descriptor.closes_on_exec = value & libc::FD_CLOEXEC != 0,
            _ => return None,
        }
        Some(Ok(0))
    });
    match known {
        Some(Ok(answer)) => answer,
        Some(Err(why)) => fails(me, why),
        None => {
            refuse_call(&format!("fcntl with command {command}"), pc);
            0
        }
    }
}

extern "C-unwind" fn ioctl(number: c_int, request: libc::c_ulong, value: usize, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    if request != libc::FIONBIO {
        refuse_call(&format!("ioctl with request {request:#x}"), pc);
    }
    accessed(value, size_of::<c_int>(), Access::Read, pc);
    // SAFETY: C passes an int, which has been checked.
    let on = unsafe { std::ptr::with_exposed_provenance::<c_int>(value).read() } != 0;
    match with(|world| world.objects.descriptors.get(number).map(|it| it.flags = c_int::from(on) * libc::O_NONBLOCK)) {
        Some(()) => 0,
        None => fails(me, libc::EBADF),
    }
}

entry_points! {
    pipe(1) => pipe;
    pipe2(2) => pipe2;
    socketpair(4) => socketpair;
    eventfd(2) => eventfd;
    eventfd_read(2) => eventfd_read;
    eventfd_write(2) => eventfd_write;
    close(1) => close;
    read(3) => read;
    __read_chk(4) => read_chk;
    write(3) => write;
    recv(4) => recv;
    send(4) => send;
    fcntl(3) => fcntl;
    fcntl64(3) => fcntl;
    ioctl(3) => ioctl;
}
