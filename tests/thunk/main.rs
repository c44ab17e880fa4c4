//! Thunks: functions for C APIs without user data. A module for each subject; most tests have signatures of their own.
//! A test that forks, installs a filter or ends its process runs in a subprocess.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test is outside the crate and has no other locks and threads"
)]

mod addresses;
#[cfg(feature = "native")]
mod c;
mod docs;
mod endings;
mod kinds;
mod late;
#[cfg(all(unix, not(miri)))]
mod libc;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod pages;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod process;
#[path = "../support/mod.rs"]
mod support;
mod values;
