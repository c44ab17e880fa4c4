//! What a check leaves where the gate can read it when the check's process has died: the program under way, and what has
//! happened in its run so far.
//!
//! A file, which both have open: the events first, in the memory that the check's ledger writes to; then a word that says
//! whether they are of this program's run, one of length, and the program's text. Nothing in it is locked: the gate reads it
//! when nobody writes any more.
//!
//! Pairs with: `check`, which writes through an [`Announcer`]; `child`, which reads; `ledger::log`, whose places these are.

use crate::ledger::log::{self, MAX_EVENTS, Place};
use crate::ledger::{Event, Ledger, RunId};
use crate::program::Program;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr;

/// Bytes of the events, before the program.
const EVENTS: usize = size_of::<[Place; MAX_EVENTS]>();

/// Writes what is under way into a file.
pub(super) struct Announcer {
    file: File,
    /// What writes into the file.
    ledger: &'static Ledger,
    /// What was announced last: an engine runs a program many times.
    last: Option<(Program, bool)>,
}

impl Announcer {
    /// The next runs of this process write their events into the file, which has to be open for reading and writing.
    ///
    /// # Errors
    ///
    /// It cannot be mapped, or has no room.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let ledger = log::lend(map(&file)?);
        Ok(Announcer { file, ledger, last: None })
    }

    /// This program is about to run. One write, so that whoever reads the file afterwards finds it whole.
    pub(super) fn announce(&mut self, program: Program, run: RunId) {
        let announced = (program, self.ledger.id() == run);
        if self.last.as_ref() == Some(&announced) {
            return;
        }
        let (program, with_events) = &announced;
        let text = program.to_string();
        let mut bytes = [u64::from(*with_events), text.len() as u64].map(u64::to_ne_bytes).concat();
        bytes.extend(text.as_bytes());
        // Nothing better can be done when it fails: the check goes on, and only a crash's program would be unknown.
        let _ = self.file.write_all_at(&bytes, EVENTS as u64);
        self.last = Some(announced);
    }
}

/// What was announced last, and what has happened in its last run, as far as that is known.
pub(super) fn under_way(file: &File) -> Option<(Program, Vec<Event>)> {
    let mut file = file;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).ok()?;
    let (events, rest) = bytes.split_at_checked(EVENTS)?;
    let (with_events, rest) = rest.split_at_checked(8)?;
    let (length, rest) = rest.split_at_checked(8)?;
    let text = rest.get(..usize::try_from(word(length)).ok()?)?;
    let program = Program::parse(std::str::from_utf8(text).ok()?).ok()?;
    let places = events.chunks_exact(16).filter(|_| word(with_events) == 1);
    let events = places.filter_map(|place| Event::unpack([word(&place[..8]), word(&place[8..])])).collect();
    Some((program, events))
}

fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map(u64::from_ne_bytes).unwrap_or_default()
}

/// The events' part of the file, for as long as the process lives.
fn map(file: &File) -> io::Result<&'static [Place]> {
    file.set_len(EVENTS as u64)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: 1. the kernel chooses the place, where nothing is; 2. the descriptor is open.
    let at = unsafe { libc::mmap(ptr::null_mut(), EVENTS, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: 1. mapped, of this size, readable and writable, and never unmapped; 2. aligned to a page; 3. any bytes are
    // atomics. Somebody who makes the file shorter meanwhile ends the process: the gate's is in memory only, and its own.
    Ok(unsafe { std::slice::from_raw_parts(at.cast(), MAX_EVENTS) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::child::memory;
    use crate::ledger::{EventKind, ThreadNo};

    #[test]
    fn events_of_another_run_are_not_taken_for_the_programs() {
        let (shared, of_its_own) = (Ledger::open(), Ledger::open());
        let file = memory().unwrap();
        assert_eq!(under_way(&file), None, "nothing has been announced");
        let places = map(&file).unwrap();
        let mut announcer = Announcer { file: file.try_clone().unwrap(), ledger: shared, last: None };
        let program = Program::parse("callback a\nbefore\n  register a\n").unwrap();
        announcer.announce(program.clone(), shared.id());
        assert_eq!(under_way(&file), Some((program.clone(), Vec::new())));
        let closed = Event { thread: ThreadNo::MAIN, kind: EventKind::Closed };
        for (place, word) in places[0].iter().zip(closed.pack()) {
            place.store(word, crate::sync::Ordering::Relaxed); // read by this thread
        }
        assert_eq!(under_way(&file), Some((program.clone(), vec![closed])));
        announcer.announce(program.clone(), of_its_own.id());
        assert_eq!(under_way(&file), Some((program, Vec::new())), "they are of a run that hangs");
        shared.close();
        of_its_own.close();
    }
}
