//! A registry's counters.

use super::results::ResultCode;
use super::{get, latecall_registry};
use std::ptr::NonNull;

/// `latecall_stats`.
#[repr(C)]
#[derive(Debug)]
pub struct latecall_stats {
    live: u64,
    revoking: u64,
    registered: u64,
    revoked: u64,
    destroyed: u64,
    late: u64,
    tombstones: u64,
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `stats` is NULL, or valid for a write and aligned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_get_stats(registry: *mut latecall_registry, stats: *mut latecall_stats) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let (Some(registry), Some(target)) = (unsafe { get(registry) }, NonNull::new(stats)) else {
        return ResultCode::BAD_ARGUMENT;
    };
    let stats = registry.stats();
    let now = latecall_stats {
        live: stats.live,
        revoking: stats.revoking,
        registered: stats.registered,
        revoked: stats.revoked,
        destroyed: stats.closures_dropped,
        late: stats.late.total(),
        tombstones: stats.tombstones,
    };
    // SAFETY: our caller guarantees (2): `stats`, which is not NULL, may be written.
    unsafe { target.write(now) };
    ResultCode::OK
}
