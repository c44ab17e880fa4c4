//! The numbers of `enum latecall_result`, their texts, and which result of the Rust registry is which number.

use crate::registry::{Quiescence, Reason, Rejected, Revoked, Shortage};
use std::ffi::CStr;

/// The results by the names that they have in `native/include/latecall.h`.
pub(super) struct ResultCode;

impl ResultCode {
    pub(super) const OK: i32 = 0;
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

/// The sentence of a result; for a number that is no result, a sentence that says so.
pub(super) fn text(result: i32) -> &'static CStr {
    match result {
        ResultCode::OK => c"done",
        ResultCode::REMOVED => c"revoked: no call was running, and the object has been destroyed",
        ResultCode::IN_FLIGHT => c"revoked: calls are running, and the last one to return destroys the object",
        ResultCode::ALREADY_REVOKED => c"an earlier call has revoked it; calls may still be running",
        ResultCode::QUIESCENT => c"no call is running, and the object has been destroyed",
        ResultCode::DEFERRED => {
            c"the calling thread is inside a call of the object, and its outermost call destroys the object"
        }
        ResultCode::STILL_RUNNING => c"calls are still running, and the last one to return destroys the object",
        ResultCode::DEADLOCKED => {
            c"the wait could never have ended: threads wait for each other, and standard error says which"
        }
        ResultCode::NULL => c"refused: the handle is NULL, which is never issued",
        ResultCode::OUT_OF_RANGE => c"refused: the registry has issued no handle for the slot that this handle names",
        ResultCode::WRONG_REGISTRY => c"refused: the handle was issued by another registry",
        ResultCode::UNISSUED => c"refused: the registry has not issued this handle: it is forged",
        ResultCode::STALE => c"refused: the object has been revoked, and no call is running",
        ResultCode::REVOKING => c"refused: the object has been revoked; calls that started before are still running",
        ResultCode::EXHAUSTED => c"refused: as many calls of the object are running as can be counted",
        ResultCode::NO_SLOTS => c"not registered: the registry is full: every slot is in use or used up",
        ResultCode::NO_REGISTRY_IDS => c"not registered: the process has as many registries as handles can tell apart",
        ResultCode::NO_MEMORY => c"not registered: an allocation failed",
        ResultCode::CLOSED => c"not registered: the registry has been closed",
        ResultCode::BAD_ARGUMENT => c"refused: an argument is NULL or out of range",
        _ => c"not a result of latecall",
    }
}

/// Why a handle is refused.
pub(super) fn reason(reason: Reason) -> i32 {
    match reason {
        Reason::Null => ResultCode::NULL,
        Reason::OutOfRange => ResultCode::OUT_OF_RANGE,
        Reason::WrongRegistry => ResultCode::WRONG_REGISTRY,
        Reason::Unissued => ResultCode::UNISSUED,
        Reason::Stale => ResultCode::STALE,
        Reason::Revoking => ResultCode::REVOKING,
        Reason::Exhausted => ResultCode::EXHAUSTED,
        Reason::WrongType
        | Reason::WrongThread
        | Reason::Busy
        | Reason::Spent
        | Reason::OwnerGone
        | Reason::Unarmed => unreachable!("the callback of a C object is of no kind that refuses calls"),
    }
}

/// Why a registration is refused.
pub(super) fn shortage(shortage: Shortage) -> i32 {
    match shortage {
        Shortage::Slots => ResultCode::NO_SLOTS,
        Shortage::RegistryIds => ResultCode::NO_REGISTRY_IDS,
        Shortage::Memory => ResultCode::NO_MEMORY,
        Shortage::Closed | Shortage::ShutDown => ResultCode::CLOSED,
        Shortage::Thunks => unreachable!("a registry of C makes no thunks"),
    }
}

/// The result, and how many calls are running.
pub(super) fn revoked(revoked: Result<Revoked, Rejected>) -> (i32, u32) {
    match revoked {
        Ok(Revoked::Removed) => (ResultCode::REMOVED, 0),
        Ok(Revoked::InFlight(calls)) => (ResultCode::IN_FLIGHT, calls),
        Ok(Revoked::AlreadyRevoked) => (ResultCode::ALREADY_REVOKED, 0),
        Err(rejected) => (reason(rejected.reason()), 0),
    }
}

/// The result of a function that waits.
pub(super) fn waited(waited: Result<Quiescence, Rejected>) -> i32 {
    match waited {
        Ok(Quiescence::Quiescent) => ResultCode::QUIESCENT,
        Ok(Quiescence::DeferredToOuterFrame) => ResultCode::DEFERRED,
        Ok(Quiescence::StillRunning(_)) => ResultCode::STILL_RUNNING,
        Ok(Quiescence::Deadlocked) => ResultCode::DEADLOCKED,
        Err(rejected) => reason(rejected.reason()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header has these numbers, and each has a sentence of its own.
    #[test]
    fn the_header_and_this_file_agree() {
        let header = include_str!("../../native/include/latecall.h");
        let mut seen = 0;
        for line in header.lines().map(str::trim) {
            let Some((name, rest)) = line.strip_prefix("LATECALL_").and_then(|line| line.split_once(" = ")) else {
                continue;
            };
            if name.starts_with("CLOSE_") {
                continue;
            }
            let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
            let number: i32 = digits.parse().unwrap();
            let source = include_str!("results.rs");
            assert!(source.contains(&format!("const {name}: i32 = {number};")), "{name} = {number}");
            assert_ne!(text(number), text(i32::MIN), "{name} has no sentence");
            seen += 1;
        }
        assert_eq!(seen, 20);
    }
}
