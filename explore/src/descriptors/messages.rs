//! Reading and writing several pieces of memory at once, and messages, as far as they are the same: no names, no control data.
//!
//! The pieces go through one piece of Rust's, so that each call is one operation on the channel, as it is of the kernel.

use super::{descriptor, did, receive, send_to};
use crate::entry::entry_points;
use crate::memory::{accessed, pointer};
use crate::pthread::{answer_all, begin_operation, fails, refuse_call};
use crate::race::Access;
use crate::world::Pc;
use std::ffi::c_int;

/// Reads something of C's, whose memory is checked.
fn given<T>(address: usize, pc: Pc) -> T {
    accessed(address, size_of::<T>(), Access::Read, pc);
    // SAFETY: C passes one of these here, in memory that was just checked; each bit pattern is one.
    unsafe { pointer::<T>(address).read() }
}

/// The pieces, each with where it begins and its size; none if they are more than there may be.
fn pieces(pieces: usize, count: usize, pc: Pc) -> Option<Vec<(usize, usize)>> {
    (count <= libc::UIO_MAXIOV as usize).then(|| {
        let all = (0..count).map(|index| given::<[usize; 2]>(pieces + index * size_of::<libc::iovec>(), pc));
        all.map(|[start, size]| (start, size)).collect()
    })
}

fn gather(number: c_int, pieces: &[(usize, usize)], quietly: bool, at_once: bool, pc: Pc) -> isize {
    let mut whole = Vec::new();
    for &(start, size) in pieces {
        accessed(start, size, Access::Read, pc);
        // SAFETY: C passes this much memory, which was just checked.
        whole.extend((0..size).map(|at| unsafe { pointer::<u8>(start + at).read() }));
    }
    send_to(number, whole.as_ptr().expose_provenance(), whole.len(), quietly, at_once, pc)
}

fn scatter(number: c_int, pieces: &[(usize, usize)], at_once: bool, pc: Pc) -> isize {
    let mut whole = vec![0_u8; pieces.iter().map(|piece| piece.1).sum()];
    let got = receive(number, whole.as_mut_ptr().expose_provenance(), whole.len(), at_once, pc);
    let mut rest = &whole[..got.max(0) as usize];
    for &(start, size) in pieces {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        answer_all(start, piece, pc);
        rest = after;
    }
    got
}

extern "C-unwind" fn readv(number: c_int, vector: usize, count: c_int, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    match pieces(vector, count as usize, pc) {
        Some(pieces) => scatter(number, &pieces, false, pc),
        None => fails::<i64>(me, libc::EINVAL) as isize,
    }
}

extern "C-unwind" fn writev(number: c_int, vector: usize, count: c_int, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    match pieces(vector, count as usize, pc) {
        Some(pieces) => gather(number, &pieces, false, false, pc),
        None => fails::<i64>(me, libc::EINVAL) as isize,
    }
}

/// `struct msghdr`.
#[repr(C)]
struct Message {
    name: usize,
    name_size: u32,
    pieces: usize,
    count: usize,
    control: usize,
    control_size: usize,
    flags: c_int,
}

extern "C-unwind" fn sendmsg(number: c_int, message: usize, flags: c_int, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    let Message { name, pieces: vector, count, control, control_size, .. } = given(message, pc);
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) != 0 {
        refuse_call("sendmsg with flags", pc);
    }
    if name != 0 || (control != 0 && control_size != 0) {
        refuse_call("sendmsg with a name or control data", pc);
    }
    match pieces(vector, count, pc) {
        Some(pieces) => gather(number, &pieces, flags & libc::MSG_NOSIGNAL != 0, flags & libc::MSG_DONTWAIT != 0, pc),
        None => fails::<i64>(me, libc::EMSGSIZE) as isize,
    }
}

/// What is received has no name, and no control data: nobody can send any.
extern "C-unwind" fn recvmsg(number: c_int, message: usize, flags: c_int, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    let asked: Message = given(message, pc);
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_CMSG_CLOEXEC) != 0 {
        refuse_call("recvmsg with flags", pc);
    }
    let Some(pieces) = pieces(asked.pieces, asked.count, pc) else {
        return fails::<i64>(me, libc::EMSGSIZE) as isize;
    };
    let got = scatter(number, &pieces, flags & libc::MSG_DONTWAIT != 0, pc);
    if got >= 0 {
        accessed(message, size_of::<Message>(), Access::Write, pc);
        let answer = Message { name_size: 0, control_size: 0, flags: flags & libc::MSG_CMSG_CLOEXEC, ..asked };
        // SAFETY: as C passed it, and checked; the kernel writes these three.
        unsafe { pointer::<Message>(message).write(answer) };
    }
    got
}

/// Ends one way of a pair or both, for all descriptors that refer to it.
extern "C-unwind" fn shutdown(number: c_int, how: c_int, pc: Pc) -> c_int {
    let Some(me) = begin_operation() else { return 0 };
    let Some(descriptor) = descriptor(number) else { return fails(me, libc::EBADF) };
    let (Some(input), Some(output)) = (descriptor.input, descriptor.output) else { return fails(me, libc::ENOTSOCK) };
    if input == output {
        return fails(me, libc::ENOTSOCK);
    }
    let ends: &[(usize, bool)] = match how {
        libc::SHUT_RD => &[(input, true)],
        libc::SHUT_WR => &[(output, false)],
        libc::SHUT_RDWR => &[(input, true), (output, false)],
        _ => return fails(me, libc::EINVAL),
    };
    did(me, pc, format!("shuts down descriptor {number}"));
    for &(channel, reads) in ends {
        super::channel::attempt(channel, None, |content| {
            content.close(reads);
            Some(())
        });
    }
    0
}

entry_points! {
    readv(3) => readv;
    writev(3) => writev;
    sendmsg(3) => sendmsg;
    recvmsg(3) => recvmsg;
    shutdown(2) => shutdown;
}
