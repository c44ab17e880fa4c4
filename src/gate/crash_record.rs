//! What a check leaves for the gate to read when the check's process dies: the program that was running, and the
//! events of its run so far.
//!
//! A crash record is a file that both processes have open. In order:
//!
//! 1. The events, in the memory that the check's ledger writes to.
//! 2. A word that says whether the events are of this program's run.
//! 3. The length of the program's text, and the text.
//!
//! Nothing in the file is locked: the gate reads it when the check's process has ended.
//!
//! Pairs with: `check`, which writes through a [`CrashRecorder`]; `child`, which reads; `ledger::log`, whose
//! [`Place`]s the events are.

use crate::ledger::log::{self, MAX_EVENTS, Place};
use crate::ledger::{Event, Ledger, RunId};
use crate::program::Program;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr;

/// The size of the events in the file. The program follows them.
const EVENTS: usize = size_of::<[Place; MAX_EVENTS]>();

/// Writes a crash record.
pub(super) struct CrashRecorder {
    file: File,
    /// The ledger that writes its events into the file.
    ledger: &'static Ledger,
    /// The program that was recorded last, and whether the events are of its run. An engine runs a program many times.
    last: Option<(Program, bool)>,
}

impl CrashRecorder {
    /// The next runs of this process write their events into the file, which must be open for reading and writing.
    ///
    /// # Errors
    ///
    /// The file cannot be made large enough or cannot be mapped.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let ledger = log::lend(map(&file)?);
        Ok(CrashRecorder { file, ledger, last: None })
    }

    /// Records the program that is about to run.
    pub(super) fn record(&mut self, program: Program, run: RunId) {
        let now = (program, self.ledger.id() == run);
        if self.last.as_ref() == Some(&now) {
            return;
        }
        let (program, with_events) = &now;
        let text = program.to_string();
        let mut bytes = [u64::from(*with_events), text.len() as u64].map(u64::to_ne_bytes).concat();
        bytes.extend(text.as_bytes());
        // One write, so that the gate finds the record whole. If it fails, the check goes on: only the program of a
        // crash would be unknown.
        let _ = self.file.write_all_at(&bytes, EVENTS as u64);
        self.last = Some(now);
    }
}

/// The program that was recorded last, and the events of its last run, as far as they are known.
pub(super) fn read(file: &File) -> Option<(Program, Vec<Event>)> {
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

/// Maps the events' part of the file for the rest of the process's life.
fn map(file: &File) -> io::Result<&'static [Place]> {
    file.set_len(EVENTS as u64)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: 1. the address is null, so the kernel chooses one where nothing is mapped; 2. the descriptor is open,
    // because `file` is borrowed.
    let at = unsafe { libc::mmap(ptr::null_mut(), EVENTS, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: 1. valid for 'static: `EVENTS` bytes were mapped just now, readable and writable, and are never unmapped;
    // 2. aligned: a mapping begins at a page; 3. initialised: any bytes are atomics; 4. all accesses are atomic: this
    //    process reads and writes through `Place`s only, and the gate reads when this process has ended. A process
    //    that makes the file shorter would end this one by SIGBUS; only the gate and its checks can open the gate's
    //    file.
    Ok(unsafe { std::slice::from_raw_parts(at.cast(), MAX_EVENTS) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::memfile;
    use crate::ledger::{EventKind, ThreadNo};
    use crate::sync::Ordering;

    #[test]
    fn events_of_another_run_are_not_taken_for_the_programs() {
        let (shared, of_its_own) = (Ledger::open(), Ledger::open());
        let file = memfile::create().unwrap();
        assert_eq!(read(&file), None, "nothing has been recorded");
        let places = map(&file).unwrap();
        let mut recorder = CrashRecorder { file: file.try_clone().unwrap(), ledger: shared, last: None };
        let program = Program::parse("callback a\nbefore\n  register a\n").unwrap();
        recorder.record(program.clone(), shared.id());
        assert_eq!(read(&file), Some((program.clone(), Vec::new())));
        let closed = Event { thread: ThreadNo::MAIN, kind: EventKind::Closed };
        for (place, word) in places[0].iter().zip(closed.pack()) {
            place.store(word, Ordering::Relaxed); // read by this thread
        }
        assert_eq!(read(&file), Some((program.clone(), vec![closed])));
        recorder.record(program.clone(), of_its_own.id());
        assert_eq!(read(&file), Some((program, Vec::new())), "the events are of another run");
        shared.close();
        of_its_own.close();
    }

    #[test]
    fn the_program_that_was_recorded_last_is_read() {
        let ledger = Ledger::open();
        let file = memfile::create().unwrap();
        map(&file).unwrap();
        let mut recorder = CrashRecorder { file: file.try_clone().unwrap(), ledger, last: None };
        let long = Program::parse("callback a\nbefore\n  register a\n  fire a\n  revoke a\n").unwrap();
        let short = Program::parse("callback a\nbefore\n  register a\n").unwrap();
        for program in [&long, &short, &short, &long] {
            recorder.record(program.clone(), ledger.id());
            assert_eq!(read(&file).map(|(program, _)| program).as_ref(), Some(program));
        }
        ledger.close();
    }
}
