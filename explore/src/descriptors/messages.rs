//! Reading and writing several pieces of memory at once, and messages without names and control data.
//!
//! The pieces go through one piece of Rust's, so that each call is one operation on the channel, as it is of the kernel.

use super::{descriptor, did, receive, send_to};
use crate::entry::entry_points;
use crate::memory::{accessed, pointer};
use crate::pthread::{answer_all, begin_operation, fails, refuse_call};
use crate::race::Access;
use crate::world::Pc;
use std::ffi::c_int;

/// Reads a value of C's, and checks its memory first.
///
/// # Safety
///
/// 1. C passed `address` as that of a `T`, to a function that reads one there.
/// 2. Every bit pattern is a valid `T`.
unsafe fn given<T>(address: usize, pc: Pc) -> T {
    accessed(address, size_of::<T>(), Access::Read, pc);
    // SAFETY: the caller guarantees by clause 1 that the memory is that of a `T`, and by clause 2 that what it holds is
    // one.
    unsafe { pointer::<T>(address).read() }
}

/// Reads an array of `struct iovec`: the start and the size of each piece. `None` if there are more than allowed.
///
/// # Safety
///
/// 1. C passed `pieces` as an array of `count` pieces, to a function that reads it.
unsafe fn pieces(pieces: usize, count: usize, pc: Pc) -> Option<Vec<(usize, usize)>> {
    (count <= libc::UIO_MAXIOV as usize).then(|| {
        let all = (0..count).map(|index| {
            // SAFETY: (1) the element lies in the array that the caller guarantees by clause 1; (2) it consists of two
            // numbers.
            unsafe { given::<[usize; 2]>(pieces + index * size_of::<libc::iovec>(), pc) }
        });
        all.map(|[start, size]| (start, size)).collect()
    })
}

/// Sends the bytes of all pieces.
///
/// # Safety
///
/// 1. C passed the pieces to a function that reads them.
unsafe fn gather(number: c_int, pieces: &[(usize, usize)], quietly: bool, at_once: bool, pc: Pc) -> isize {
    let mut whole = Vec::new();
    for &(start, size) in pieces {
        accessed(start, size, Access::Read, pc);
        // SAFETY: the caller guarantees by clause 1 that C passed this much memory; it was just checked.
        whole.extend((0..size).map(|at| unsafe { pointer::<u8>(start + at).read() }));
    }
    send_to(number, whole.as_ptr().expose_provenance(), whole.len(), quietly, at_once, pc)
}

/// Receives bytes into the pieces.
///
/// # Safety
///
/// 1. C passed the pieces to a function that writes to them.
unsafe fn scatter(number: c_int, pieces: &[(usize, usize)], at_once: bool, pc: Pc) -> isize {
    let mut whole = vec![0_u8; pieces.iter().map(|piece| piece.1).sum()];
    let got = receive(number, whole.as_mut_ptr().expose_provenance(), whole.len(), at_once, pc);
    let mut rest = &whole[..got.max(0) as usize];
    for &(start, size) in pieces {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        // SAFETY: (1) the caller guarantees by clause 1 that C wants bytes written to this piece.
        unsafe { answer_all(start, piece, pc) };
        rest = after;
    }
    got
}

extern "C-unwind" fn readv(number: c_int, vector: usize, count: c_int, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    // SAFETY: (1) C passes an array of `count` pieces to `readv`.
    match unsafe { pieces(vector, count as usize, pc) } {
        // SAFETY: (1) `readv` writes to the pieces.
        Some(pieces) => unsafe { scatter(number, &pieces, false, pc) },
        None => fails::<i64>(me, libc::EINVAL) as isize,
    }
}

extern "C-unwind" fn writev(number: c_int, vector: usize, count: c_int, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    // SAFETY: (1) C passes an array of `count` pieces to `writev`.
    match unsafe { pieces(vector, count as usize, pc) } {
        // SAFETY: (1) `writev` reads the pieces.
        Some(pieces) => unsafe { gather(number, &pieces, false, false, pc) },
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
    // SAFETY: (1) C passes a `struct msghdr` to `sendmsg`; (2) it consists of numbers.
    let Message { name, pieces: vector, count, control, control_size, .. } = unsafe { given(message, pc) };
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) != 0 {
        refuse_call("sendmsg with flags", pc);
    }
    if name != 0 || (control != 0 && control_size != 0) {
        refuse_call("sendmsg with a name or control data", pc);
    }
    let (quietly, at_once) = (flags & libc::MSG_NOSIGNAL != 0, flags & libc::MSG_DONTWAIT != 0);
    // SAFETY: (1) the message that C passed says where its array of pieces is.
    match unsafe { pieces(vector, count, pc) } {
        // SAFETY: (1) `sendmsg` reads the pieces.
        Some(pieces) => unsafe { gather(number, &pieces, quietly, at_once, pc) },
        None => fails::<i64>(me, libc::EMSGSIZE) as isize,
    }
}

/// A received message has no name and no control data, because `sendmsg` above refuses to send any.
extern "C-unwind" fn recvmsg(number: c_int, message: usize, flags: c_int, pc: Pc) -> isize {
    let Some(me) = begin_operation() else { return 0 };
    // SAFETY: (1) C passes a `struct msghdr` to `recvmsg`; (2) it consists of numbers.
    let asked: Message = unsafe { given(message, pc) };
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_CMSG_CLOEXEC) != 0 {
        refuse_call("recvmsg with flags", pc);
    }
    // SAFETY: (1) the message that C passed says where its array of pieces is.
    let Some(pieces) = (unsafe { pieces(asked.pieces, asked.count, pc) }) else {
        return fails::<i64>(me, libc::EMSGSIZE) as isize;
    };
    // SAFETY: (1) `recvmsg` writes to the pieces.
    let got = unsafe { scatter(number, &pieces, flags & libc::MSG_DONTWAIT != 0, pc) };
    if got >= 0 {
        accessed(message, size_of::<Message>(), Access::Write, pc);
        let answer = Message { name_size: 0, control_size: 0, flags: flags & libc::MSG_CMSG_CLOEXEC, ..asked };
        // SAFETY: C passed a `struct msghdr` to `recvmsg`, which writes to it; the memory was just checked.
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
