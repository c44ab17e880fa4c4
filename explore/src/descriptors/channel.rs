//! What descriptors read from and write to, and who waits for that to change.

use crate::loom_types::{Mutex, thread};
use crate::trace::named;
use crate::world::{Me, Pc, waiting, with};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_int;
use std::rc::Rc;

/// What a pipe of Linux holds unless it is told otherwise.
const PIPE: usize = 64 << 10;

/// The largest number that an event counter holds.
const MOST: u64 = u64::MAX - 1;

pub(super) struct Channel {
    gate: Rc<Mutex<()>>,
    pub(super) content: Content,
    parked: Vec<(Me, thread::Thread)>,
    /// How often it has changed, for whoever wants to be told of changes only.
    pub(super) changes: u64,
}

impl Channel {
    pub(super) fn new(number: usize, content: Content) -> Self {
        // A name that is no address of C's.
        let gate = Rc::new(named(number as u64 + 1, || Mutex::new(())));
        Self { gate, content, parked: Vec::new(), changes: 0 }
    }
}

pub(super) enum Content {
    Bytes {
        bytes: VecDeque<u8>,
        read: bool,
        written: bool,
    },
    Count {
        count: u64,
        one_at_a_time: bool,
    },
    /// What a poller watches, by number.
    Watched(BTreeMap<c_int, Watch>),
}

/// What a poller was told of a descriptor.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    pub(super) events: u32,
    pub(super) data: u64,
    /// The changes that it has told of, where it tells of each once.
    pub(super) told: Option<u64>,
}

impl Content {
    /// A way for bytes that has both ends.
    pub(super) fn bytes() -> Self {
        Self::Bytes { bytes: VecDeque::new(), read: true, written: true }
    }

    /// The last descriptor of one end is gone.
    pub(super) fn close(&mut self, reads: bool) {
        if let Self::Bytes { read, written, .. } = self {
            *(if reads { read } else { written }) = false;
        }
    }

    /// The number means nothing any more.
    pub(super) fn forget(&mut self, number: c_int) {
        if let Self::Watched(all) = self {
            all.remove(&number);
        }
    }

    pub(super) fn readable(&self) -> bool {
        match self {
            Self::Bytes { bytes, read, written } => !bytes.is_empty() || !written || !read,
            Self::Count { count, .. } => *count > 0,
            Self::Watched(_) => false,
        }
    }

    pub(super) fn writable(&self) -> bool {
        match self {
            Self::Bytes { bytes, read, written } => bytes.len() < PIPE || !read || !written,
            Self::Count { count, .. } => *count < MOST,
            Self::Watched(_) => false,
        }
    }

    /// One end is gone, or was shut down.
    pub(super) fn ended(&self) -> bool {
        matches!(self, Self::Bytes { read, written, .. } if !read || !written)
    }

    /// Nobody is left at the other end.
    pub(super) fn hung_up(&self, reads: bool) -> bool {
        matches!(self, Self::Bytes { read, written, .. } if !(if reads { *written } else { *read }))
    }

    /// The bytes that reading so many may write to, as far as they are known before it waits.
    pub(super) fn most(&self, size: usize) -> usize {
        match self {
            Self::Bytes { bytes, .. } => size.min(bytes.len().max(1)),
            _ => size.min(8),
        }
    }

    /// Reads into memory of C's; nothing where it has to wait.
    pub(super) fn take(&mut self, to: usize, size: usize) -> Option<Result<usize, c_int>> {
        let put = |at: usize, byte: u8| {
            // SAFETY: C passes this much memory, of which as much as is filled is written to.
            unsafe { std::ptr::with_exposed_provenance_mut::<u8>(to + at).write(byte) };
        };
        match self {
            Self::Bytes { bytes, read, written } => {
                // Where the other side has closed, or this one has shut down reading, there is nothing to wait for.
                if bytes.is_empty() && *written && *read && size > 0 {
                    return None;
                }
                let taken = size.min(bytes.len());
                bytes.drain(..taken).enumerate().for_each(|(at, byte)| put(at, byte));
                Some(Ok(taken))
            }
            Self::Count { .. } if size < 8 => Some(Err(libc::EINVAL)),
            Self::Count { count: 0, .. } => None,
            Self::Count { count, one_at_a_time } => {
                let got = if *one_at_a_time { 1 } else { *count };
                *count -= got;
                got.to_ne_bytes().into_iter().enumerate().for_each(|(at, byte)| put(at, byte));
                Some(Ok(8))
            }
            Self::Watched(_) => Some(Err(libc::EINVAL)),
        }
    }

    /// Writes from memory of C's; nothing where it has to wait.
    pub(super) fn put(&mut self, from: usize, size: usize) -> Option<Result<usize, c_int>> {
        // SAFETY: C passes this much memory.
        let get = |at: usize| unsafe { std::ptr::with_exposed_provenance::<u8>(from + at).read() };
        match self {
            Self::Bytes { read: false, .. } | Self::Bytes { written: false, .. } => Some(Err(libc::EPIPE)),
            Self::Bytes { bytes, .. } => {
                let room = PIPE - bytes.len();
                if room == 0 && size > 0 {
                    return None;
                }
                let put = size.min(room);
                bytes.extend((0..put).map(get));
                Some(Ok(put))
            }
            Self::Count { .. } if size < 8 => Some(Err(libc::EINVAL)),
            Self::Count { count, .. } => {
                let mut number = [0; 8];
                number.iter_mut().enumerate().for_each(|(at, byte)| *byte = get(at));
                let more = u64::from_ne_bytes(number);
                if more > MOST {
                    return Some(Err(libc::EINVAL));
                }
                *count = count.checked_add(more).filter(|&sum| sum <= MOST)?;
                Some(Ok(8))
            }
            Self::Watched(_) => Some(Err(libc::EINVAL)),
        }
    }
}

/// One attempt at a channel, which wakes whoever waits for it to change; a thread that did not succeed and is about to park is put on
/// the list of those to be woken.
pub(super) fn attempt<R>(
    channel: usize,
    parks: Option<Me>,
    change: impl FnOnce(&mut Content) -> Option<R>,
) -> Option<R> {
    visit(channel, parks, true, |it| change(&mut it.content))
}

/// A look at a channel, which changes nothing.
pub(super) fn look<R>(channel: usize, parks: Option<Me>, at: impl FnOnce(&mut Channel) -> Option<R>) -> Option<R> {
    visit(channel, parks, false, at)
}

fn visit<R>(
    channel: usize,
    parks: Option<Me>,
    wakes: bool,
    visit: impl FnOnce(&mut Channel) -> Option<R>,
) -> Option<R> {
    let gate = with(|world| world.objects.descriptors.channels[channel].gate.clone());
    let guard = gate.lock().expect("loom's locks are not poisoned");
    let parks = parks.map(|me| (me, thread::current()));
    let (done, parked) = with(|world| {
        let all = &mut world.objects.descriptors;
        let channel = &mut all.channels[channel];
        let done = visit(channel);
        let mut parked = Vec::new();
        if wakes && done.is_some() {
            channel.changes += 1;
            parked = std::mem::take(&mut channel.parked);
            all.woken.extend(parked.iter().map(|(me, _)| *me));
            // The others find that they were woken before they park.
            parked.retain(|(me, _)| all.asleep.remove(me));
        }
        if done.is_none() {
            channel.parked.extend(parks);
        }
        (done, parked)
    });
    for (_, thread) in parked {
        thread.unpark();
    }
    drop(guard);
    done
}

/// Parks a thread that is on the lists of channels, unless one has changed since it looked; then it is on none any more.
pub(super) fn park(me: Me, pc: Pc, number: c_int) {
    // From asking whether it was woken to where it parks no other thread runs.
    while !with(|world| world.objects.descriptors.woken.remove(&me)) {
        with(|world| world.objects.descriptors.asleep.insert(me));
        waiting(me, pc, "descriptor", number as usize, thread::park);
        with(|world| world.objects.descriptors.asleep.remove(&me));
    }
    wait_no_longer(me);
}

/// Takes a thread off all lists: loom's wake-ups are not to reach it while it waits for something else.
pub(super) fn wait_no_longer(me: Me) {
    with(|world| {
        let all = &mut world.objects.descriptors;
        all.woken.remove(&me);
        for channel in &mut all.channels {
            channel.parked.retain(|(parked, _)| *parked != me);
        }
    });
}
