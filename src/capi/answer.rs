//! The numbers of `enum latecall_answer`, and what they say.

use crate::registry::{Quiescence, Reason, Rejected, Revoked, Shortage};
use std::ffi::CStr;

/// The answers; see the header.
pub(super) struct Answer;

impl Answer {
    pub(super) const DONE: i32 = 0;
    const REMOVED: i32 = 1;
    const IN_FLIGHT: i32 = 2;
    const ALREADY_REVOKED: i32 = 3;
    const QUIESCENT: i32 = 4;
    const DEFERRED: i32 = 5;
    const STILL_RUNNING: i32 = 6;
    const DEADLOCKED: i32 = 7;
    const NULL: i32 = -1;
    const OUT_OF_RANGE: i32 = -2;
    const WRONG_REGISTRY: i32 = -3;
    const UNISSUED: i32 = -4;
    const STALE: i32 = -5;
    const REVOKING: i32 = -6;
    const EXHAUSTED: i32 = -7;
    const NO_SLOTS: i32 = -16;
    const NO_REGISTRY_IDS: i32 = -17;
    const NO_MEMORY: i32 = -18;
    const CLOSED: i32 = -19;
    pub(super) const BAD_ARGUMENT: i32 = -32;
}

pub(super) fn text(answer: i32) -> &'static CStr {
    match answer {
        Answer::DONE => c"done",
        Answer::REMOVED => c"revoked: nobody was inside, and the object has been destroyed",
        Answer::IN_FLIGHT => c"revoked: calls are inside, and the last to leave destroys the object",
        Answer::ALREADY_REVOKED => c"revoked before",
        Answer::QUIESCENT => c"nobody is inside, and the object has been destroyed",
        Answer::DEFERRED => c"the calling thread is inside, and its outermost frame destroys the object",
        Answer::STILL_RUNNING => c"calls are still inside, and the last to leave destroys the object",
        Answer::DEADLOCKED => c"the wait would never have ended",
        Answer::NULL => c"refused: the handle is NULL, which is never issued",
        Answer::OUT_OF_RANGE => c"refused: the handle names a slot that never had a tenant",
        Answer::WRONG_REGISTRY => c"refused: the handle was issued by another registry",
        Answer::UNISSUED => c"refused: the handle has a generation that was never issued",
        Answer::STALE => c"refused: the registration is over and the object is gone",
        Answer::REVOKING => c"refused: the registration has been revoked; earlier calls are still running",
        Answer::EXHAUSTED => c"refused: as many calls are inside as can be counted",
        Answer::NO_SLOTS => c"not registered: every slot is live, being revoked, or retired",
        Answer::NO_REGISTRY_IDS => c"not registered: as many registries are in use as ids can tell apart",
        Answer::NO_MEMORY => c"not registered: memory could not be had",
        Answer::CLOSED => c"not registered: the registry has been closed",
        Answer::BAD_ARGUMENT => c"an argument is NULL, or out of range",
        _ => c"not an answer of latecall",
    }
}

pub(super) fn reason(reason: Reason) -> i32 {
    match reason {
        Reason::Null => Answer::NULL,
        Reason::OutOfRange => Answer::OUT_OF_RANGE,
        Reason::WrongRegistry => Answer::WRONG_REGISTRY,
        Reason::Unissued => Answer::UNISSUED,
        Reason::Stale => Answer::STALE,
        Reason::Revoking => Answer::REVOKING,
        Reason::Exhausted => Answer::EXHAUSTED,
        Reason::WrongType
        | Reason::WrongThread
        | Reason::Busy
        | Reason::Spent
        | Reason::OwnerGone
        | Reason::Unarmed => unreachable!("C's objects are shared ones"),
    }
}

pub(super) fn shortage(shortage: Shortage) -> i32 {
    match shortage {
        Shortage::Slots => Answer::NO_SLOTS,
        Shortage::RegistryIds => Answer::NO_REGISTRY_IDS,
        Shortage::Memory => Answer::NO_MEMORY,
        Shortage::Closed | Shortage::ShutDown => Answer::CLOSED,
    }
}

/// The answer, and how many calls are inside.
pub(super) fn revoked(revoked: Result<Revoked, Rejected>) -> (i32, u32) {
    match revoked {
        Ok(Revoked::Removed) => (Answer::REMOVED, 0),
        Ok(Revoked::InFlight(calls)) => (Answer::IN_FLIGHT, calls),
        Ok(Revoked::AlreadyRevoked) => (Answer::ALREADY_REVOKED, 0),
        Err(rejected) => (reason(rejected.reason()), 0),
    }
}

pub(super) fn waited(waited: Result<Quiescence, Rejected>) -> i32 {
    match waited {
        Ok(Quiescence::Quiescent) => Answer::QUIESCENT,
        Ok(Quiescence::DeferredToOuterFrame) => Answer::DEFERRED,
        Ok(Quiescence::StillRunning(_)) => Answer::STILL_RUNNING,
        Ok(Quiescence::Deadlocked) => Answer::DEADLOCKED,
        Err(rejected) => reason(rejected.reason()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header's numbers are these, and each has a sentence.
    #[test]
    fn the_header_and_this_file_agree() {
        let header = include_str!("../../native/include/latecall.h");
        let mut seen = 0;
        for line in header.lines().map(str::trim) {
            let Some((name, rest)) = line.strip_prefix("LATECALL_").and_then(|line| line.split_once(" = ")) else {
                continue;
            };
            if ["DRAIN", "ABORT", "LEAVE"].contains(&name) {
                continue;
            }
            let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
            let number: i32 = digits.parse().unwrap();
            let source = include_str!("answer.rs");
            assert!(source.contains(&format!("const {name}: i32 = {number};")), "{name} = {number}");
            assert_ne!(text(number), text(i32::MIN), "{name} has no sentence");
            seen += 1;
        }
        assert_eq!(seen, 20);
    }
}
